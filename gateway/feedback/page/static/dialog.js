// The dialog. What it shows is named in the address; Back, Esc, the button and a click beside it close it, and the view stays.
import { address, replace } from "./address.js";
import { h, show } from "./dom.js";
import { t } from "./text.js";

const dialog = document.getElementById("dialog");
let stepped = false; // whether Back leads to the same view without the dialog
let quietly = false;
let opener = null;

export function openDialog(title, ...children) {
  const was = dialog.open;
  show(dialog, h("div", { class: "row" }, h("h2", { id: "dialog-title", tabindex: -1 }, title), h("button", { type: "button", id: "close", onclick: () => dialog.close() }, t("close"))), ...children);
  opener = address().open;
  if (!was) dialog.showModal();
  else if (!dialog.contains(document.activeElement)) document.getElementById("dialog-title").focus();
}

// For the router: the address has changed already.
export function closeDialog() {
  if (dialog.open) { quietly = true; dialog.close(); }
}
export const steppedIn = (yes) => { stepped = yes; };

dialog.addEventListener("close", () => {
  giveFocusBack();
  if (quietly) { quietly = false; return; }
  const { name, query, open } = address();
  if (!open) return;
  if (stepped) history.back();
  else replace(name, query);
});

// The browser gives the focus back to where it was; where that has been drawn again since, to its successor.
function giveFocusBack() {
  if (document.activeElement && document.activeElement !== document.body) return;
  const found = [...document.querySelectorAll("[data-key]")].find((element) => element.dataset.key === opener);
  (found ?? document.getElementById("main")).focus({ preventScroll: true });
}

const isBeside = (event) => {
  const box = dialog.getBoundingClientRect();
  return event.target === dialog && (event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom);
};
let began = false; // a selection of text may end beside the dialog
dialog.addEventListener("pointerdown", (event) => { began = isBeside(event); });
dialog.addEventListener("click", (event) => { if (began && isBeside(event)) dialog.close(); });
