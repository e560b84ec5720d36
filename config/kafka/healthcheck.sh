#!/bin/bash
# Whether the broker here answers: it is asked for its API versions (protocol, key 18), which needs no login.
#   healthcheck.sh [PORT]     default: 9092, the listener INTERNAL, without TLS
# Kafka's own tools say more, and start a Java each time: a second of a core.
exec 3<>"/dev/tcp/localhost/${1:-9092}" || exit 1
# Length 13, key 18, version 0, correlation id 1, client id "ask".
printf '\0\0\0\15\0\22\0\0\0\0\0\1\0\3ask' >&3
# What comes back: its length, the correlation id, and error code 0.
answer=$(head -c 10 <&3 | od -An -tx1 -v | tr -d ' \n')
[ "${answer:8}" = 000000010000 ] || { echo "localhost:${1:-9092} does not answer as Kafka does: $answer"; exit 1; }
