"""The Chuanyu (川渝) display gateway: electronic certificates (电子证照) shown in one province, recognised
in the other."""

__version__ = "0.1.0"
