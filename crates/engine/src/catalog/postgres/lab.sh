# A throw-away PostgreSQL in folder $2, with the programs in $1, for as long as standard input is open.
bin=$1 folder=$2
{
    "$bin/initdb" -D "$folder/data" -A trust -U keystow -E UTF8 --locale=C.UTF-8 --no-sync &&
        "$bin/pg_ctl" -D "$folder/data" -w -l "$folder/log" start \
            -o "-k $folder -c listen_addresses= -c fsync=off -c max_connections=200"
} >"$folder/started" 2>&1 || exit 1
: >"$folder/ready"
cat >/dev/null
"$bin/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1
rm -rf "$folder"
