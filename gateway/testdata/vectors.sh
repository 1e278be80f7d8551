#!/usr/bin/env bash
# Makes vectors.tsv: signatures computed without a line of Go, by sort, paste
# and openssl. Run it in this folder: ./vectors.sh > vectors.tsv
# Columns: secret, signature, signed string, then the parameters as they came.
set -euo pipefail
export LC_ALL=C

vector() {
	local secret=$1 joined sign
	shift
	joined=$(printf '%s\n' "$@" | sort -t= -k1,1 | paste -sd'&' -)
	sign=$(printf '%s' "$joined" | openssl dgst -sha256 -hmac "$secret" -r | cut -d' ' -f1)
	printf '%s\t%s\t%s' "$secret" "$sign" "$joined"
	printf '\t%s' "$@"
	printf '\n'
}

vector example-secret-key user=016683 method=v3.QueryOrder time=1720684254 trade_id=160899f3-f6d9-a8d8-ab5b-82eacdab9c5b
vector example-secret-key user=016683 method=v3.Capture time=1720684254 trade_id=160899f3 amount=24.99 currency=EUR description= notify_url= request_id=ca51f2fas3i0f8uiw7efj6oe4i2w1ghj
# Upper case sorts before lower case, digits before "_", a name before a longer one.
vector K b=1 B=2 a1=3 a=4 a_b=5 ab=6 A_=7 A0=8
# Raw: nothing is URL-encoded or escaped, not even & = % + < > " \ / and spaces.
vector 'k3y with spaces & "quotes"' 'description=100% + <b>"x"</b> \n C:\dir/ a=b&c=d' notify_url='https://shop.example/n?a=1&b=%20#x' z=
# UTF-8 of two, three and four bytes, in the secret too.
vector schlüssel-ключ-鍵 'description=café ☕ 🛒 北京' 'cafe=café' trade_id=T
vector 0123456789012345678901234567890123456789012345678901234567890123456789 user=u method=m time=0
vector example-secret-key empty=
