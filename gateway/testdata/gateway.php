<?php
// The gateway's signature in PHP, as it is published: all parameters but sign,
// sorted by name, joined as name=value with & between, HMAC-SHA256 in hex.
//
//   php gateway.php sign SEED COUNT    prints notifications, one JSON object a line
//   php gateway.php verify             reads request bodies, one a line, and prints
//                                      the numbers of those it does not believe
error_reporting(E_ALL & ~E_WARNING);
ini_set('precision', '14');
ini_set('serialize_precision', '-1');
const SECRET = 'example-secret-key';

function signed_string(array $params): string {
    unset($params['sign']);
    ksort($params);
    $parts = [];
    foreach ($params as $name => $value) {
        $parts[] = $name . '=' . $value;
    }
    return implode('&', $parts);
}

// What an integration signs: nested members beside the others, nothing empty.
function merged_without_empty(array $params): array {
    foreach ($params as $name => $value) {
        if (is_array($value)) {
            unset($params[$name]);
            $params = array_replace($params, $value);
        }
    }
    return array_filter($params, fn($value) => !empty($value));
}

function without_empty(array $params): array {
    return array_filter($params, fn($value) => !empty($value));
}

function text(): string {
    $letters = ['a', 'Z', '0', '9', ' ', '&', '=', '?', '%', '+', '"', '\\', '/', '<', '>', '.', '-', '_', "\n", "\t",
        'é', 'ß', '中', '💳', "\u{2028}", 'null', 'true', '{', '}'];
    $out = '';
    for ($n = mt_rand(0, 8); $n > 0; $n--) {
        $out .= $letters[mt_rand(0, count($letters) - 1)];
    }
    return $out;
}

function float(): float {
    $floats = [0.1, 1.1, 10.0, 1.0e-7, 0.30000000000000004, -0.0, 24.99, 24.989999999999998, 1.5e20, -2.5e-5, 0.0001,
        0.00001, 1e22, 123456.789, 1 / 3, -1e100, 12345678901234.5];
    return $floats[mt_rand(0, count($floats) - 1)];
}

function value(bool $nested) {
    switch (mt_rand(0, $nested ? 10 : 8)) {
        case 0: return null;
        case 1: return true;
        case 2: return false;
        case 3: return mt_rand(-5, 5);
        case 4: return float();
        case 5: return ['', '0', '0.0', '1', '1.10', '007', '1e3', ' '][mt_rand(0, 7)];
        case 6: return PHP_INT_MAX - mt_rand(0, 3);
        case 9: return ['3ds_status' => value(false), '3ds_trxid' => text(), '3ds_version' => '2.2'];
        case 10: return [];
    }
    return text();
}

function notification(int $i): array {
    $data = ['type' => 'payment', 'user' => '016683', 'trade_id' => "t$i", 'state' => 'paid', 'currency' => 'EUR',
        'amount' => [24.9, '24.90', '24.9'][mt_rand(0, 2)], 'order_id' => "o$i"];
    $names = ['3ds', '3ds_status', 'createDate', 'description', 'Zeta', 'tip_amount', 'demo', '10', '9', '5', '1b', '1e1',
        '007', '-3', '1.5', '99999999999999999999', 'x1', 'é', 'a b', '_'];
    for ($n = mt_rand(0, 8); $n > 0; $n--) {
        $data[$names[mt_rand(0, count($names) - 1)]] = value(true);
    }
    $keys = array_keys($data);
    shuffle($keys);
    $shuffled = [];
    foreach ($keys as $key) {
        $shuffled[$key] = $data[$key];
    }
    return $shuffled;
}

function body(string $form, string $sign, array $data): string {
    $flags = [0, JSON_UNESCAPED_UNICODE, JSON_UNESCAPED_SLASHES, JSON_PRESERVE_ZERO_FRACTION, JSON_HEX_AMP | JSON_HEX_QUOT][mt_rand(0, 4)];
    $whole = json_encode(['sign' => $sign, 'data' => $data], $flags);
    switch ($form) {
        case 'resultData': return 'resultData=' . urlencode($whole);
        case 'urlencoded whole': return urlencode($whole);
        case 'signature.json': return $sign . '.' . json_encode($data, $flags);
    }
    return $whole;
}

if ($argv[1] === 'sign') {
    mt_srand((int)$argv[2]);
    for ($i = 0; $i < (int)$argv[3]; $i++) {
        $data = notification($i);
        $way = ['library', 'library_without_empty', 'merged_without_empty'][mt_rand(0, 2)];
        $params = $data;
        if ($way === 'library_without_empty') {
            $params = without_empty($data);
        } elseif ($way === 'merged_without_empty') {
            $params = merged_without_empty($data);
        }
        $sign = hash_hmac('sha256', signed_string($params), SECRET);
        $form = ['json', 'resultData', 'urlencoded whole', 'signature.json'][mt_rand(0, 3)];
        echo json_encode(['way' => $way, 'form' => $form, 'body' => base64_encode(body($form, $sign, $data)), 'trade_id' => "t$i"]), "\n";
    }
    exit(0);
}

for ($i = 0; ($line = fgets(STDIN)) !== false; $i++) {
    $call = json_decode(base64_decode($line), true);
    $params = array_replace($call['data'], ['user' => $call['user'], 'method' => $call['method'], 'time' => $call['time']]);
    if (!hash_equals(hash_hmac('sha256', signed_string($params), SECRET), $call['sign'])) {
        echo $i, "\n";
    }
}
