#!/usr/bin/env python3
"""What the second implementation takes from elsewhere, against published values, and its fast roads against its
plain ones:

    python3 spec/tests.py
"""

import random
import unittest

from plain import blake3, ed25519
from plain.fast import numpy
from plain.source import Refused, Tensors, read_json
from plain.text import Template, Unknown, words
from plain.wire import Job, Receipt

# Points of small order, and one y that is not below the prime: no signature by or under them counts.
SMALL = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


class Published(unittest.TestCase):
    def test_blake3_gives_the_published_digest_of_nothing(self):
        """Source: the test vectors of BLAKE3."""
        nothing = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
        value = blake3.tree(blake3.IV, b"", 0, 0, blake3.ROOT)
        self.assertEqual(blake3.pack8(value).hex(), nothing)

    @unittest.skipIf(numpy is None, "without numpy there is one road")
    def test_both_roads_of_blake3_give_the_same(self):
        dice = random.Random(1)
        for size in (16385, 17408, 17409, 31744, 32768, 32769, 40000):
            data, key = dice.randbytes(size), blake3.keyed(bytes(32), b"")
            whole = blake3.keyed(key, data)
            numbers = [int.from_bytes(key[at : at + 4], "little") for at in range(0, 32, 4)]
            plain = without_numpy(lambda: blake3.tree(numbers, data, 0, blake3.KEYED, blake3.ROOT))
            self.assertEqual(whole, blake3.pack8(plain), size)

    def test_ed25519_takes_the_published_signatures(self):
        """Source: RFC 8032, section 7.1, tests 1 to 3."""
        for key, message, signature in RFC_8032:
            key, message, signature = map(bytes.fromhex, (key, message, signature))
            self.assertTrue(ed25519.verifies(key, message, signature))
            for bit in range(0, 512, 5):
                flipped = bytearray(signature)
                flipped[bit // 8] ^= 1 << bit % 8
                self.assertFalse(ed25519.verifies(key, message, bytes(flipped)), bit)
            self.assertFalse(ed25519.verifies(key, message + b"!", signature))

    def test_keys_and_points_of_small_order_sign_nothing(self):
        honest = bytes.fromhex(RFC_8032[0][0])
        for point in map(bytes.fromhex, SMALL):
            for key in (point, honest):
                for s in (0, 1, ed25519.L):
                    signature = point + s.to_bytes(32, "little")
                    self.assertFalse(ed25519.verifies(key, b"", signature), point.hex())


def without_numpy(work):
    kept, blake3.numpy = blake3.numpy, None
    try:
        return work()
    finally:
        blake3.numpy = kept


class Strange(unittest.TestCase):
    """Bytes of strangers: an error that says what, never an exception of another kind."""

    def test_json_has_no_second_reading(self):
        for text in (b"[NaN]", b"\xef\xbb\xbf{}", b"[" * 100_000, b"\xff", b""):
            with self.assertRaises(Refused):
                read_json(text)

    def test_weights_with_holes_and_overlaps_are_refused(self):
        def file(index, numbers):
            return len(index).to_bytes(8, "little") + index + numbers

        one = b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [%d, %d]}}'
        self.assertEqual(list(Tensors(file(one % (0, 4), bytes(4))).read("a", 1)), [0.0])
        for index, numbers in (
            (one % (0, 4), bytes(5)),
            (one % (1, 5), bytes(5)),
            (one % (0, 8), bytes(8)),
            (one % (0, 4), bytes(3)),
            (b'{"a": 7}', b""),
            (b'{"__metadata__": 1, "__metadata__": 2}', b""),
            (b'{"a": {"dtype": "F32", "shape": 1, "data_offsets": [0, 4]}}', bytes(4)),
            (b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, -4]}}', bytes(4)),
        ):
            with self.assertRaises(Refused):
                Tensors(file(index, numbers))
        with self.assertRaises(Refused):
            Tensors((1 << 60).to_bytes(8, "little"))

    def test_cut_and_random_bytes_decode_to_an_error(self):
        dice = random.Random(2)
        for kind in (Job, Receipt):
            for _ in range(2000):
                with self.assertRaises(Refused):
                    kind(bytes([1, 1]) + dice.randbytes(dice.randrange(400)))


class Texts(unittest.TestCase):
    def test_words_are_those_of_the_pattern(self):
        """Worked out by hand from the pattern: spaces before a word go with it one by one."""
        for text, cut in (
            ("a bc", ["a", " bc"]),
            ("a  b", ["a", "  ", "b"]),
            ("12 3", ["1", "2", " ", "3"]),
            (" 1", [" ", "1"]),
            ("x!?", ["x", "!?"]),
            ("x !?", ["x", " !?"]),
            ("\n\n a", ["\n\n ", "a"]),
            ("e\u0301 \u00bd\u2167", ["e\u0301", " ", "\u00bd", "\u2167"]),
        ):
            self.assertEqual(list(words(text)), cut)

    def test_templates_trim_and_choose_as_they_say(self):
        source = b"""a {{- ' x ' | trim -}} b
{%- for m in messages -%}
{%- if m.role == 'user' or m.role == "tool" -%} <{{ m.content + '>' }}
{%- elif m.role == 'system' %} [{{ (m.content) }}]
{%- else %} ?{% endif %}
{%- endfor %} .
"""
        given = [{"role": role, "content": role[0]} for role in ("system", "user", "tool", "x")]
        said = Template(source).render({"messages": given})
        self.assertEqual(said, "axb [s]<u><t> ? .")

    def test_what_a_template_may_not_say_here_is_unknown(self):
        for text in (
            "{{ now() }}",
            "{{ a[0] }}",
            "{{ a | upper }}",
            "{% set a = 1 %}",
            "{% if not a %}{% endif %}",
            "{# a #}",
            "{% for a in b %}",
            "{% endif %}",
            "{{ 'a\\n' }}",
            "{{ a ~ b }}",
        ):
            with self.assertRaises(Unknown, msg=text):
                Template(text.encode()).render({"a": "1", "b": []})


RFC_8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
        "387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
        "4a7c15e9716ed28dc027beceea1ec40a",
    ),
]

if __name__ == "__main__":
    unittest.main()
