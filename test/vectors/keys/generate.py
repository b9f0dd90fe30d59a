#!/usr/bin/env python3
"""Golden vectors of key files, recovery shares and the trace, computed from docs/formats/keys.md and trace.md alone.

Hashes, Shamir's scheme and the tree are written out here; AES-GCM and Argon2id come from the package `cryptography` (44 or later),
so that nothing is shared with the C++ that is tested against the vectors.

  generate.py          writes vectors.txt beside itself and ../trace/vectors.txt
  generate.py --check  exits 1 when they are not what would be written
"""
import hashlib
import hmac
import pathlib
import sys

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id


def sha(data):
    return hashlib.sha256(data).digest()


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def tag(name):
    return bytes([len(name)]) + name.encode()


def u(value, size):
    return value.to_bytes(size, "big")


def lp(data):
    return u(len(data), 2) + data


# ------------------------------------------------------------------------------------------------------------- key file

def key_file(key, passphrase, label, memory, passes, salt, nonce):
    head = tag("fid.key1") + b"\x01\x01" + tag(label) + u(memory, 4) + u(passes, 4) + salt + nonce
    wrapping = Argon2id(salt=salt, length=32, iterations=passes, lanes=1, memory_cost=memory).derive(passphrase)
    body = head + AESGCM(wrapping).encrypt(nonce, key, head)
    return body + sha(tag("fid.keysum1") + body)[:8]


# ------------------------------------------------------------------------------------------------------ recovery shares

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def field_multiply(a, b, polynomial, bits):
    product = 0
    while b:
        if b & 1:
            product ^= a
        a <<= 1
        if a >> bits:
            a ^= polynomial
        b >>= 1
    return product


def share_text(key, coefficients, threshold, count, index, share_set):
    value = bytearray()
    for i in range(32):
        total, power = key[i], 1
        for c in coefficients:
            power = field_multiply(power, index, 0x11B, 8)
            total ^= field_multiply(c[i], power, 0x11B, 8)
        value.append(total)
    body = bytes([1, threshold, count, index]) + share_set + mac(key, tag("fid.sharekey1") + share_set)[:4] + bytes(value)
    body += sha(tag("fid.share1") + body)[:6]
    bits = int.from_bytes(body, "big")
    digits = [bits >> (5 * (79 - i)) & 31 for i in range(80)]
    groups = []
    for g in range(20):
        d = digits[4 * g:4 * g + 4]
        check, weight = 0, 1
        for term in [d[3], d[2], d[1], d[0], g + 1]:
            weight = field_multiply(weight, 2, 0x25, 5)
            check ^= field_multiply(term, weight, 0x25, 5)
        groups.append("".join(ALPHABET[x] for x in d + [check]))
    return " ".join(groups)


# ------------------------------------------------------------------------------------------------------------ the trace

def entry(time, allowed, number, staff=None, patient=None):
    clear = tag("fid.entry1") + u(time, 8) + u(1, 1) + u(2, 1) + u(allowed, 1) + u(3, 2) + u(0, 1) + u(number, 8) + bytes([0xB0] * 32)
    clear += u(1, 4) + u(0, 2) + u((1 if staff else 0) | (2 if patient else 0), 1)
    out = clear
    for part, which in ((staff, 1), (patient, 2)):
        if part:
            key_id, key, nonce, plain = part
            out += key_id + lp(nonce + AESGCM(key).encrypt(nonce, plain, clear + bytes([which]) + key_id))
    return out


def tree_root(leaves):
    if not leaves:
        return sha(b"")
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return sha(b"\x01" + tree_root(leaves[:k]) + tree_root(leaves[k:]))


def trace_files(mac_key, log_id, created, groups):
    head = tag("fid.tracelog1") + log_id + u(created, 8)
    log = head + mac(mac_key, tag("fid.tracelog1") + head)[:16]
    leaves = []
    for group in groups:
        for place, item in enumerate(group):
            leaf = sha(b"\x00" + item)
            where = u(len(leaves), 8) + u(place, 4)
            log += u(len(item), 4) + where + item + mac(mac_key, tag("fid.tracerow1") + log_id + where + leaf)[:16]
            leaves.append(leaf)
    peaks, start = b"", 0
    for bit in reversed(range(64)):
        if len(leaves) >> bit & 1:
            peaks += tree_root(leaves[start:start + (1 << bit)])
            start += 1 << bit
    slot = tag("fid.tracehead1") + log_id + u(len(groups), 8) + u(len(log), 8) + u(len(leaves), 8) + peaks
    slot += mac(mac_key, tag("fid.tracehead1") + slot)
    slots = [bytes(4096), bytes(4096)]
    slots[len(groups) % 2] = slot.ljust(4096, b"\0")
    return log, slots[0] + slots[1], tree_root(leaves)


# ---------------------------------------------------------------------------------------------------------------- output

def lines(pairs):
    return "".join(f"{name} = {value.hex() if isinstance(value, bytes) else value}\n" for name, value in pairs)


def key_vectors():
    key = bytes(range(1, 33))
    out = [("key", key), ("passphrase", b"correct horse battery staple"),
           ("key_file", key_file(key, b"correct horse battery staple", "site", 64, 2, bytes(range(16)), bytes(range(12))))]
    coefficients = [sha(b"first"), sha(b"second")]
    for index in range(1, 6):
        out.append((f"share_{index}_of_5_any_3", share_text(key, coefficients, 3, 5, index, b"\xde\xad\xbe\xef")))
    return lines(out)


def trace_vectors():
    mac_key, staff_key, patient_key = sha(b"mac"), sha(b"staff"), sha(b"patient")
    address = b"192.0.2.7:4711"
    staff = (bytes([1] * 32), staff_key, bytes([2] * 12), bytes([3] * 32) + u(len(address), 1) + address)
    patient = (bytes([4] * 32), patient_key, bytes([5] * 12), bytes([6] * 32) + bytes([7] * 32) + bytes([8] * 32))
    groups = [[entry(1795377600000, 1, 0)], [entry(1795377600001, 1, 1, staff, patient), entry(1795377600002, 0, 2, staff)],
              [entry(1795377600003, 1, 3, None, patient), entry(1795377600004, 0, 4)]]
    log, head, root = trace_files(mac_key, bytes([9] * 32), 1795377600000, groups)
    return lines([("mac_key", mac_key), ("staff_key", staff_key), ("patient_key", patient_key), ("root", root), ("trace_log", log),
                  ("trace_head", head)])


def main():
    here = pathlib.Path(__file__).resolve().parent
    wrong = 0
    for path, text in ((here / "vectors.txt", key_vectors()), (here.parent / "trace" / "vectors.txt", trace_vectors())):
        if "--check" in sys.argv:
            wrong += not path.exists() or path.read_text() != text
        else:
            path.write_text(text)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
