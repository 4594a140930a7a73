#!/bin/sh
# A script for the example `cgi`: shows the request that it gets, and its content in capitals.
printf 'Content-Type: text/plain\nX-Served-By: cgi.sh\n'
[ "$PATH_INFO" != /missing ] || printf 'Status: 404 Not Found\n'
printf '\n%s %s?%s\n' "$REQUEST_METHOD" "$PATH_INFO" "$QUERY_STRING"
exec tr a-z A-Z
