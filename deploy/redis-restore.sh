#!/bin/sh
# Makes of the copy of Redis on standard input what a Redis with an append-only file reads at its next start, in /data or in the
# folder that is named: docs/how-to/backups-and-moves.md. To be run beside Redis' own programs, while no Redis uses that folder.
# What was there goes to `before`; what servers and sentinels know of each other (redis.conf, sentinel.conf) does, too.
set -eu
cd "${1:-/data}"
if ! mkdir before; then
  echo "expected no folder 'before' here: it holds what the last restore took away; look at it, and delete it" >&2
  exit 1
fi
for each in appendonlydir dump.rdb redis.conf sentinel.conf; do
  if [ -e "$each" ]; then mv "$each" before; fi
done
cat > dump.rdb
unset REDISCLI_AUTH
redis-server --dir . --port 0 --unixsocket restore.sock --save '' --appendonly no > before/log &
ask() { redis-cli -s restore.sock "$@"; }
until ask ping 2>&1 | grep -q PONG; do
  if ! kill -0 $! 2> /dev/null; then
    cat before/log >&2
    rm -f dump.rdb restore.sock before/log
    for each in before/*; do if [ -e "$each" ]; then mv "$each" .; fi; done
    rmdir before
    echo 'expected the dump.rdb of a Redis on standard input: nothing was changed' >&2
    exit 1
  fi
  sleep 1
done
ask config set appendonly yes
until ask info persistence | tr -d '\r' | grep -c -E '^aof_(rewrite_in_progress:0|rewrite_scheduled:0|last_bgrewrite_status:ok)$' | grep -q 3; do
  sleep 1
done
echo "restored: $(ask dbsize) keys"
ask shutdown
wait
