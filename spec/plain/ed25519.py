"""Ed25519 verification (source: RFC 8032, section 5.1), strict: RECEIPT-1.2. For checking only: it takes
no secret, so its time tells nothing."""

from hashlib import sha512

P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ZERO = (0, 1, 1, 0)


def add(a, b):
    """Points are X, Y, Z, T with x = X/Z, y = Y/Z, xy = T/Z."""
    left, right = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = right - left, d - c, d + c, right + left
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(scalar, point):
    total = ZERO
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point, scalar = double(point), scalar >> 1
    return total


def double(a):
    squares, c = (a[0] * a[0], a[1] * a[1]), 2 * a[2] * a[2]
    h = squares[0] + squares[1]
    e, g = h - (a[0] + a[1]) ** 2, squares[0] - squares[1]
    f = c + g
    return e * f % P, g * h % P, f * g % P, e * h % P


def both(s, a, k, b):
    """s a + k b, bit by bit together"""
    sums, total = (None, a, b, add(a, b)), ZERO
    for bit in range(max(s.bit_length(), k.bit_length()) - 1, -1, -1):
        total, which = double(total), (s >> bit & 1) + 2 * (k >> bit & 1)
        total = add(total, sums[which]) if which else total
    return total


def encode(point):
    inverse = pow(point[2], -1, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decode(data):
    """A point in its one encoding, or none."""
    number = int.from_bytes(data, "little")
    y, sign = number & ((1 << 255) - 1), number >> 255
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != square or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


BASE = decode((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def of_small_order(point):
    return encode(times(8, point)) == encode(ZERO)


def verifies(key, message, signature):
    """Whether `signature` is the one that the holder of `key` makes over `message`."""
    a, r, s = decode(key), decode(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L or of_small_order(a) or of_small_order(r):
        return False
    k = int.from_bytes(sha512(signature[:32] + key + message).digest(), "little") % L
    minus_a = P - a[0], a[1], a[2], P - a[3]
    return encode(both(s, BASE, k, minus_a)) == signature[:32]
