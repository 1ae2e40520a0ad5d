#!/bin/sh
[ "$1" = need ] || exit 0
