#!/bin/sh
# A script for the tests of the example `cgi`. It writes its number and that of its child to the file that the query names.
case $PATH_INFO in
    /lines) yes 'X-A: b' | head -n "$QUERY_STRING"; printf '\nbody' ;;
    /bytes) printf "X-A: %0${QUERY_STRING}d\n\nbody" 0 ;;
    /endless) exec yes 'X-A: b' ;;
    /incomplete) echo 'X-A: b' ;;
    /silent | /stream)
        sleep 30 &
        echo "$$ $!" >"$QUERY_STRING"
        [ "$PATH_INFO" = /silent ] || printf 'X-A: b\n\nbody'
        wait
        ;;
esac
