#!/bin/sh
# Writes a random password into each file of secrets/ that docker-compose.yml needs. What is there already stays.
# The folder is for its owner alone. The files are readable for all: inside a container, another user reads them.
set -eu
cd "$(dirname "$0")/../.."
umask 022
mkdir -p secrets/parley
chmod 700 secrets
for name in postgres-password temporal-postgres-password grafana-password; do
  if [ -s "secrets/$name" ]; then
    echo "secrets/$name: is there already"
  else
    # 32 random bytes as hexadecimal digits.
    od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n' >"secrets/$name"
    echo "secrets/$name: written"
  fi
done
