#!/bin/sh
# A certificate authority for development, and the broker's certificate by it, beside the passwords:
#   config/kafka/development-ca.sh [FOLDER [NAME…]]     default: secrets kafka localhost 127.0.0.1
# Clients get ca.pem, the broker kafka.pem (its key and certificate); ca.key is to stay here. In production use your own CA.
set -eu
folder=${1:-secrets}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- kafka localhost 127.0.0.1
command -v openssl >/dev/null || { echo "development-ca.sh: openssl is missing: install it" >&2; exit 1; }
mkdir -p -m 700 "$folder"
cd "$folder"

names=
for name in "$@"; do
  case $name in
    *[!0-9.]*) names="$names,DNS:$name" ;;
    *) names="$names,IP:$name" ;;
  esac
done

umask 077
if [ ! -e ca.key ]; then
  openssl req -x509 -newkey rsa:3072 -nodes -sha256 -days 730 -subj "/CN=chuanyu gateway development CA" \
    -keyout ca.key -out ca.pem 2>/dev/null
fi
openssl req -newkey rsa:3072 -nodes -sha256 -subj "/CN=$1" -keyout kafka.key -out kafka.csr 2>/dev/null
printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "${names#,}" > kafka.ext
openssl x509 -req -in kafka.csr -CA ca.pem -CAkey ca.key -CAcreateserial -sha256 -days 365 -extfile kafka.ext -out kafka.crt 2>/dev/null
cat kafka.key kafka.crt > kafka.pem
rm -f kafka.key kafka.crt kafka.csr kafka.ext ca.srl
chmod 644 ca.pem kafka.pem # the folder is closed; a container's user must read the one that it is given
echo "$PWD: ca.pem for clients, kafka.pem for the broker named ${names#,}" >&2
