#!/usr/bin/env python3
"""Golden vectors of the evidence formats, computed from docs/formats/ by a second implementation.

Only Python's standard library is used: Keccak, RLP, the Merkle-Patricia trie and secp256k1 are written out below, so that
nothing is shared with the C++ that is tested against the vectors.

  generate.py          writes vectors.json beside itself
  generate.py --check  exits 1 when vectors.json is not what would be written
"""
import hashlib
import hmac
import json
import pathlib
import sys

# ---------------------------------------------------------------------------------------------------------- primitives

RC, ROT = [], [[0] * 5 for _ in range(5)]


def _constants():
    lfsr = 1
    for _ in range(24):
        rc = 0
        for j in range(7):
            if lfsr & 1:
                rc |= 1 << ((1 << j) - 1)
            lfsr = (lfsr << 1) ^ (0x171 if lfsr & 0x80 else 0)
        RC.append(rc)
    x, y = 1, 0
    for t in range(24):
        ROT[x][y] = (t + 1) * (t + 2) // 2 % 64
        x, y = y, (2 * x + 3 * y) % 5


_constants()
MASK = (1 << 64) - 1


def rol(v, n):
    return ((v << n) | (v >> (64 - n))) & MASK if n else v


def keccak_f(a):
    for rc in RC:
        c = [a[x][0] ^ a[x][1] ^ a[x][2] ^ a[x][3] ^ a[x][4] for x in range(5)]
        d = [c[(x - 1) % 5] ^ rol(c[(x + 1) % 5], 1) for x in range(5)]
        b = [[0] * 5 for _ in range(5)]
        for x in range(5):
            for y in range(5):
                b[y][(2 * x + 3 * y) % 5] = rol(a[x][y] ^ d[x], ROT[x][y])
        for x in range(5):
            for y in range(5):
                a[x][y] = b[x][y] ^ (~b[(x + 1) % 5][y] & MASK & b[(x + 2) % 5][y])
        a[0][0] ^= rc


def keccak256(data):
    rate = 136
    data = bytearray(data) + b"\x01"
    data += b"\0" * (-len(data) % rate)
    data[-1] |= 0x80
    a = [[0] * 5 for _ in range(5)]
    for start in range(0, len(data), rate):
        for i in range(rate // 8):
            a[i % 5][i // 5] ^= int.from_bytes(data[start + 8 * i:start + 8 * i + 8], "little")
        keccak_f(a)
    return b"".join(a[i % 5][i // 5].to_bytes(8, "little") for i in range(4))


assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
assert keccak256(b"abc").hex() == "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"


def sha(data):
    return hashlib.sha256(data).digest()


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def tag(name):
    return bytes([len(name)]) + name.encode()


def lp(data):
    data = data.encode() if isinstance(data, str) else data
    return len(data).to_bytes(2, "big") + data


def u(value, size):
    return value.to_bytes(size, "big")


P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798, 0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8)


def add(a, b):
    if a is None:
        return b
    if b is None:
        return a
    if a[0] == b[0]:
        if (a[1] + b[1]) % P == 0:
            return None
        slope = 3 * a[0] * a[0] * pow(2 * a[1], -1, P) % P
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P) % P
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def times(k, point):
    out = None
    while k:
        if k & 1:
            out = add(out, point)
        point = add(point, point)
        k >>= 1
    return out


def address(key):
    x, y = times(int.from_bytes(key, "big"), G)
    return keccak256(u(x, 32) + u(y, 32))[12:]


def sign(key, digest):
    """RFC 6979, low s. Returns r ‖ s ‖ v with v 0 or 1."""
    d, z = int.from_bytes(key, "big"), int.from_bytes(digest, "big") % N
    v, k = b"\x01" * 32, b"\0" * 32
    for mark in (b"\0", b"\x01"):
        k = mac(k, v + mark + key + u(z, 32))
        v = mac(k, v)
    while True:
        v = mac(k, v)
        nonce = int.from_bytes(v, "big")
        if 0 < nonce < N:
            x, y = times(nonce, G)
            r = x % N
            s = pow(nonce, -1, N) * (z + r * d) % N
            if r and s:
                bit = y & 1
                if s > N // 2:
                    s, bit = N - s, bit ^ 1
                return u(r, 32) + u(s, 32) + bytes([bit])
        k = mac(k, v + b"\0")
        v = mac(k, v)


def rlp(item):
    if isinstance(item, int):
        item = item.to_bytes((item.bit_length() + 7) // 8, "big")
    if isinstance(item, (bytes, bytearray)):
        if len(item) == 1 and item[0] < 0x80:
            return bytes(item)
        return prefix(0x80, len(item)) + bytes(item)
    payload = b"".join(rlp(i) if not isinstance(i, Raw) else i.data for i in item)
    return prefix(0xC0, len(payload)) + payload


class Raw:
    def __init__(self, data):
        self.data = data


def prefix(base, size):
    if size < 56:
        return bytes([base + size])
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([base + 55 + len(length)]) + length


def hex_prefix(nibbles, leaf):
    flag = 2 * leaf
    nibbles = [flag + 1] + nibbles if len(nibbles) % 2 else [flag, 0] + nibbles
    return bytes(16 * nibbles[i] + nibbles[i + 1] for i in range(0, len(nibbles), 2))


def nibbles_of(data):
    return [n for byte in data for n in (byte >> 4, byte & 15)]


def trie_node(items, proof, wanted):
    """items: [(nibbles, value)], not empty, keys of one length. Returns the node's RLP; nodes on the way to `wanted` go to proof, innermost first."""
    if len(items) == 1:
        return rlp([hex_prefix(items[0][0], True), items[0][1]])
    first = items[0][0]
    shared = 0
    while all(k[shared] == first[shared] for k, _ in items):
        shared += 1
    if shared:
        on_way = wanted is not None and wanted[:shared] == first[:shared]
        child = trie_node([(k[shared:], v) for k, v in items], proof, wanted[shared:] if on_way else None)
        return rlp([hex_prefix(first[:shared], False), reference(child, proof, on_way)])
    branch = []
    for n in range(16):
        below = [(k[1:], v) for k, v in items if k[0] == n]
        on_way = wanted is not None and wanted[0] == n
        branch.append(reference(trie_node(below, proof, wanted[1:] if on_way else None), proof, on_way) if below else b"")
    return rlp(branch + [b""])


def reference(node, proof, on_way):
    if len(node) < 32:
        return Raw(node)
    if on_way:
        proof.append(node)
    return keccak256(node)


def trie(entries, key):
    """Root and proof (outermost first) of a secure trie: keys are hashed."""
    items = sorted((nibbles_of(keccak256(k)), v) for k, v in entries.items())
    proof = []
    root = trie_node(items, proof, nibbles_of(keccak256(key)))
    return keccak256(root), [root] + proof[::-1]


def merkle_root(leaves):
    if not leaves:
        return sha(b"")
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha(b"\x01" + merkle_root(leaves[:split]) + merkle_root(leaves[split:]))


def merkle_path(leaves, index):
    if len(leaves) == 1:
        return []
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if index < split:
        return merkle_path(leaves[:split], index) + [merkle_root(leaves[split:])]
    return merkle_path(leaves[split:], index - split) + [merkle_root(leaves[:split])]


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def h(data):
    return "0x" + data.hex()


def filler(name, size):
    """Bytes that both sides can make: SHA-256(name ‖ u32 counter), one after the other."""
    out = b"".join(sha(name.encode() + u(i, 4)) for i in range(size // 32 + 1))
    return out[:size]


# ------------------------------------------------------------------------------------------------------------- formats

CHUNK = 32768


def chunk_hashes(data):
    return [sha(data[i:i + CHUNK]) for i in range(0, len(data), CHUNK)]


def chunk_root(data):
    return merkle_root([sha(b"\0" + tag("fid.chunk1") + u(i, 4) + c) for i, c in enumerate(chunk_hashes(data))])


ZERO = b"\0" * 32


def make_body(uid, syntax, data, source=ZERO, overlay=ZERO):
    return {"sop_instance_uid": uid, "transfer_syntax_uid": syntax, "size": len(data), "sha256": sha(data), "chunk_root": chunk_root(data),
            "source_sha256": source, "overlay_sha256": overlay}


def body_bytes(b):
    return (lp(b["sop_instance_uid"]) + lp(b["transfer_syntax_uid"]) + u(b["size"], 8) + b["sha256"] + b["chunk_root"] + b["source_sha256"] +
            b["overlay_sha256"])


def leaf_salt(K, b):
    return mac(K, tag("fid.leaf1") + body_bytes(b))


def leaf(K, b):
    return sha(b"\0" + tag("fid.leaf1") + leaf_salt(K, b) + body_bytes(b))


def study_key(K, uid):
    return sha(tag("fid.study1") + mac(K, b"study") + lp(uid))


def patient_key(secret, issuer, patient_id):
    return sha(tag("fid.patient1") + secret + lp(issuer.strip(" ")) + lp(patient_id.strip(" ")))


def patient_ref(K, key):
    return sha(tag("fid.link1") + mac(K, b"link") + key)


def scope_ref(K):
    return sha(tag("fid.scope1") + mac(K, b"scope"))


def meta_hash(K, manifest):
    return sha(tag("fid.meta1") + mac(K, b"meta") + sha(manifest))


def uploads_hash(K, uploads):
    if not uploads:
        return ZERO
    return sha(tag("fid.upload1") + mac(K, b"upload") + b"".join(lp(i) + d + lp(s) for i, d, s in uploads))


def word(value):
    return u(value, 32)


def record_abi(r):
    return (b"fid.record1".ljust(32, b"\0") + word(r["chain_id"]) + r["contract"].rjust(32, b"\0") + r["institution"] + r["study_key"] +
            word(r["version"]) + r["previous"] + r["root"] + word(r["count"]) + r["patient_ref"] + r["meta"] + r["uploads"] + word(r["format"]) +
            word(r["reasons"]))


def slot_key(institution, key, version):
    return keccak256(institution + key + word(version))


def storage_key(slot, mapping):
    return keccak256(slot + word(mapping))


def manifest_bytes(m):
    out = b"fid.manifest1" + lp(m["study_instance_uid"]) + u(m["version"], 8) + m["previous"] + u(m["reasons"], 2)
    out += b"\x01" + lp(m["patient"][0]) + lp(m["patient"][1]) if m["patient"] else b"\0"
    out += lp(m["linked_study"]) + u(len(m["instances"]), 4)
    for i in m["instances"]:
        b = i["body"]
        out += lp(b["sop_instance_uid"]) + lp(i["series"]) + lp(i["sop_class"]) + lp(b["transfer_syntax_uid"]) + u(b["size"], 8)
        out += b["sha256"] + b["chunk_root"] + b["source_sha256"] + b["overlay_sha256"] + i["prefix"] + i["fragment"] + i["pixel"]
        out += u(i["arrival_ms"], 8) + lp(i["source"])
    return out


def overlay_bytes(o, key):
    out = b"fid.overlay1" + lp(o["study_instance_uid"]) + o["previous"] + o["person"] + u(o["at_ms"], 8) + lp(o["reason"])
    for issuer, patient_id in (o["patient_in_data_sets"], o["patient"]):
        out += lp(issuer) + lp(patient_id)
    out += u(len(o["edits"]), 2)
    for number, vr, value in o["edits"]:
        out += u(number, 4) + vr.encode() + (b"\0" if value is None else b"\x01" + lp(value))
    return out + sign(key, sha(tag("fid.overlay1") + out))


# ------------------------------------------------------------------------------------------------------- a small chain

EMPTY_OMMERS = keccak256(rlp([]))
EMPTY_TRIE = keccak256(rlp(b""))


def header(parent, number, state_root, timestamp, difficulty, extra):
    return [parent, EMPTY_OMMERS, b"\0" * 20, state_root, EMPTY_TRIE, EMPTY_TRIE, b"\0" * 256, difficulty, number, 300000000, 0, timestamp, extra, ZERO,
            b"\0" * 8, 0]


def sealed(key, fields):
    unsealed = fields[:12] + [fields[12][:-65]] + fields[13:]
    fields[12] = fields[12][:-65] + sign(key, keccak256(rlp(unsealed)))
    return rlp(fields)


def chain(keys, first, state_root, count, period):
    """`count` consecutive headers from block `first`, sealed in turn."""
    keys = sorted(keys, key=address)
    parent, out = sha(b"the block before"), []
    for n in range(first, first + count):
        key = keys[n % len(keys)]
        out.append(sealed(key, header(parent, n, state_root, 1700000000 + n * max(period, 1), 2, b"fiducial".ljust(32, b"\0") + b"\0" * 65)))
        parent = keccak256(out[-1])
    return out


def private_key(name):
    return sha(b"vector key " + name.encode())


def secp_sets(count):
    return [private_key("signer %d" % i) for i in range(count)]


def make_trust(keys, contract, code, slot, institution, chain_id, period):
    return {"chain": {"client": "clique", "epoch": 30000, "genesis": h(sha(b"genesis")), "id": chain_id, "period": period},
            "contracts": [{"address": h(contract), "code_hash": h(keccak256(code)), "from_block": 3, "name": "Studies", "slot": slot}],
            "format": "fid.trust1",
            "institutions": [{"gateway": h(address(private_key("gateway"))), "id": h(institution), "name": "Example Hospital"}],
            "previous": h(ZERO),
            "signer_sets": [{"first_block": 0, "signers": [h(a) for a in sorted(map(address, keys))]}],
            "version": 1, "witnesses": []}


def make_bundle(signers, version, later_exists):
    K, D = sha(b"study secret"), filler("instance", 70000)
    uid, chain_id, slot, period = "1.2.826.0.1.3680043.8.498.1", 4242424242, 3, 0 if signers == 1 else 1
    contract, institution = sha(b"contract")[:20], sha(b"institution")
    bodies = sorted((make_body("1.2.3.%d" % i, "1.2.840.10008.1.2.1", D[:1000 * (i + 1)], sha(b"jpeg") if i == 2 else ZERO) for i in range(5)),
                    key=lambda b: b["sop_instance_uid"])
    leaves = [leaf(K, b) for b in bodies]
    record = {"chain_id": chain_id, "contract": contract, "institution": institution, "study_key": study_key(K, uid), "version": version,
              "previous": ZERO if version == 1 else sha(b"before"), "root": merkle_root(leaves), "count": 5,
              "patient_ref": patient_ref(K, patient_key(sha(b"patient secret"), "Hospital", "12345")), "meta": meta_hash(K, b"manifest"),
              "uploads": ZERO, "format": 1, "reasons": 1 if version == 1 else 2}
    key = storage_key(slot_key(institution, record["study_key"], version), slot)
    next_key = storage_key(slot_key(institution, record["study_key"], version + 1), slot)
    storage = {storage_key(slot_key(institution, sha(b"other %d" % i), 1), slot): rlp(int.from_bytes(sha(b"value %d" % i), "big")) for i in range(20)}
    storage[key] = rlp(int.from_bytes(keccak256(record_abi(record)), "big"))
    if later_exists:
        storage[next_key] = rlp(int.from_bytes(sha(b"a later record"), "big"))
    storage_root, proof = trie(storage, key)
    _, next_proof = trie(storage, next_key)
    code = b"the code of Studies"
    accounts = {sha(b"account %d" % i)[:20]: rlp([i, 10**18, EMPTY_TRIE, keccak256(b"")]) for i in range(9)}
    accounts[contract] = rlp([1, 0, storage_root, keccak256(code)])
    state_root, account_proof = trie(accounts, contract)
    keys = secp_sets(signers)
    majority = signers // 2 + 1
    headers = chain(keys, 40, state_root, 1 if signers == 1 else 2 * majority, period)
    trust = canonical(make_trust(keys, contract, code, slot, institution, chain_id, period))
    index = 2
    b = bodies[index]
    bundle = {"anchor": {"account_proof": [h(n) for n in account_proof], "headers": [h(x) for x in headers],
                         "next_storage_proof": [h(n) for n in next_proof], "slot": slot, "storage_proof": [h(n) for n in proof]},
              "format": "fid.bundle1",
              "instances": [{"body": {k: h(v) if isinstance(v, bytes) else v for k, v in b.items()}, "index": index,
                             "path": [h(x) for x in merkle_path(leaves, index)], "salt": h(leaf_salt(K, b))}],
              "record": {k: h(v) if isinstance(v, bytes) else v for k, v in record.items() if k != "study_key"},
              "study": {"blind": h(mac(K, b"study")), "uid": uid},
              "trust": {"sha256": h(sha(trust.encode())), "version": 1}}
    return {"signers": signers, "bundle": canonical(bundle), "trust": trust, "later_exists": later_exists, "data_set": "instance",
            "data_set_size": b["size"], "source_sha256": h(b["source_sha256"]), "record_hash": h(keccak256(record_abi(record))), "block": 40}


# ------------------------------------------------------------------------------------------------------------- vectors


def vectors():
    out = {"keccak256": [{"in": h(m), "out": h(keccak256(m))} for m in (b"", b"fiducial", filler("k", 135), filler("k", 136), filler("k", 137))]}
    out["data_sets"] = []
    for size in (1, 31, 32767, 32768, 32769, 65536, 98304, 100000, 16 * 32768, 16 * 32768 + 1, 33 * 32768 - 1):
        data = filler("data %d" % size, size)
        out["data_sets"].append({"name": "data %d" % size, "size": size, "sha256": h(sha(data)), "chunk_root": h(chunk_root(data)),
                                 "chunk_hashes_sha256": h(sha(b"".join(chunk_hashes(data))))})
    K, patient = sha(b"K"), sha(b"P")
    data = filler("data 100000", 100000)
    bodies = [make_body("1.2.3", "1.2.840.10008.1.2.1", data), make_body("1.2.3.10", "1.2.840.10008.1.2.4.50", data, sha(b"a jpeg")),
              make_body("1.2.3.9", "1.2.840.10008.1.2", data, ZERO, sha(b"an overlay")), make_body("2.25.1", "1.2.840.10008.1.2.1.99", data[:1])]
    uid = "1.2.826.0.1.3680043.8.498.77"
    out["study"] = {
        "K": h(K), "P": h(patient), "study_instance_uid": uid,
        "bodies": [{**{k: h(v) if isinstance(v, bytes) else v for k, v in b.items()}, "encoded": h(body_bytes(b)), "salt": h(leaf_salt(K, b)),
                    "leaf": h(leaf(K, b))} for b in bodies],
        "roots": [h(merkle_root([leaf(K, b) for b in bodies[:n]])) for n in range(1, len(bodies) + 1)],
        "blind": h(mac(K, b"study")), "link": h(mac(K, b"link")), "scope": h(mac(K, b"scope")), "study_key": h(study_key(K, uid)),
        "issuer": " Universit\u00e4tsklinik ", "patient_id": "\u5c71\u7530-0042  ",
        "patient_key": h(patient_key(patient, " Universit\u00e4tsklinik ", "\u5c71\u7530-0042  ")),
        "patient_ref": h(patient_ref(K, patient_key(patient, " Universit\u00e4tsklinik ", "\u5c71\u7530-0042  "))),
        "scope_ref": h(scope_ref(K)), "meta": h(meta_hash(K, b"some manifest")), "manifest": h(b"some manifest"),
        "uploads": [{"id": "person-1", "digest": h(sha(b"one")), "signature": h(b"sig one")}, {"id": "device-22", "digest": h(sha(b"two")), "signature": h(b"")}],
        "uploads_hash": h(uploads_hash(K, [("person-1", sha(b"one"), b"sig one"), ("device-22", sha(b"two"), b"")])),
    }
    records = [{"chain_id": 1337, "contract": b"\x11" * 20, "institution": sha(b"i"), "study_key": study_key(K, uid), "version": 1, "previous": ZERO,
                "root": sha(b"r"), "count": 3, "patient_ref": sha(b"p"), "meta": sha(b"m"), "uploads": ZERO, "format": 1, "reasons": 1},
               {"chain_id": 2**52 - 1, "contract": sha(b"c")[:20], "institution": sha(b"i2"), "study_key": sha(b"s"), "version": 2**64 - 2,
                "previous": sha(b"prev"), "root": sha(b""), "count": 0, "patient_ref": sha(b"p"), "meta": ZERO, "uploads": ZERO, "format": 1, "reasons": 16},
               {"chain_id": 2**64 - 1, "contract": sha(b"c")[:20], "institution": sha(b"i2"), "study_key": sha(b"s"), "version": 7,
                "previous": sha(b"prev"), "root": sha(b"r"), "count": 2**32 - 1, "patient_ref": sha(b"p"), "meta": sha(b"m"), "uploads": sha(b"u"),
                "format": 1, "reasons": 14}]
    out["records"] = []
    for r in records:
        slot = slot_key(r["institution"], r["study_key"], r["version"])
        out["records"].append({**{k: h(v) if isinstance(v, bytes) else str(v) for k, v in r.items()}, "abi": h(record_abi(r)),
                               "hash": h(keccak256(record_abi(r))), "slot_key": h(slot), "storage_key_slot_2": h(storage_key(slot, 2))})
    manifest = {"study_instance_uid": uid, "version": 2, "previous": sha(b"v1"), "reasons": 6, "patient": (" Klinik", "\u0416-7"), "linked_study": "1.2.99",
                "instances": [{"body": bodies[0], "series": "1.2.3.0", "sop_class": "1.2.840.10008.5.1.4.1.1.1", "prefix": sha(b"prefix"), "fragment": sha(b"f"),
                               "pixel": sha(b"px"), "arrival_ms": 1795377600123, "source": "AE MODALITY1"},
                              {"body": bodies[1], "series": "", "sop_class": "", "prefix": ZERO, "fragment": sha(b"g"), "pixel": ZERO, "arrival_ms": 0, "source": ""}]}
    bare = {**manifest, "version": 1, "previous": ZERO, "reasons": 1, "patient": None, "linked_study": ""}
    emptied = {**manifest, "reasons": 8, "instances": []}
    out["manifests"] = [h(manifest_bytes(manifest)), h(manifest_bytes(bare)), h(manifest_bytes(emptied))]
    overlay = {"study_instance_uid": uid, "previous": sha(b"overlay before"), "person": sha(b"ada"), "at_ms": 1795377600123,
               "reason": "picked the line above in the worklist", "patient_in_data_sets": ("Klinik", "\u0416-7"), "patient": ("", "4711"),
               "edits": [(0x00100010, "PN", "M\u00fcller^Eva"), (0x00100020, "LO", "4711"), (0x00100030, "DA", ""), (0x00101000, "LO", None)]}
    out["overlay"] = {"key": h(private_key("gateway")), "bytes": h(overlay_bytes(overlay, private_key("gateway")))}

    keys = secp_sets(3)
    trust = make_trust(keys, sha(b"contract")[:20], b"the code of Studies", 3, sha(b"institution"), 4242424242, 1)
    first = canonical(trust)
    trust2 = json.loads(first)
    trust2.update(version=2, previous=h(sha(first.encode())))
    fresh = sorted(map(address, secp_sets(5)))
    trust2["signer_sets"][0]["last_block"] = 999
    trust2["signer_sets"].append({"first_block": 1000, "signers": [h(a) for a in fresh]})
    second = canonical(trust2)
    digest = keccak256(b"\x19Ethereum Signed Message:\n32" + sha(second.encode()))
    out["trust"] = {"first": first, "first_sha256": h(sha(first.encode())), "second": second, "second_sha256": h(sha(second.encode())),
                    "signing_digest": h(digest), "signer_keys": [h(k) for k in keys], "signatures": [h(sign(k, digest)) for k in keys]}
    out["bundles"] = [make_bundle(1, 1, False), make_bundle(3, 1, False), make_bundle(5, 2, False), make_bundle(3, 2, True)]
    return out


def main():
    path = pathlib.Path(__file__).with_name("vectors.json")
    text = json.dumps(vectors(), indent=1, sort_keys=True) + "\n"
    if sys.argv[1:] == ["--check"]:
        if path.read_text() != text:
            print("vectors.json is not what generate.py makes", file=sys.stderr)
            return 1
        return 0
    path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
