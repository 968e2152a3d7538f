#!/usr/bin/env python3
"""Write functions.bin.gz: the function bodies of the ONNX standard.

    pip install onnx==1.23.2
    python gen.py ../functions.bin.gz

For every schema version that has a function body which does not depend on the
node's context, and for every opset that the body is written in, the file has
one record; numbers are unsigned varints, strings and bytes have their length
in front:

    domain, name, since, until (0: still valid), opset, FunctionProto

since and until are the versions between which the operator means what the body
computes; opset is the version of the default domain that the body is written
in. Records are sorted; the result is the same at every run.
"""

import gzip
import sys

import onnx
from onnx import defs


def varint(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def chunk(b):
    return varint(len(b)) + b


def body(schema, opset):
    f = onnx.FunctionProto()
    f.ParseFromString(schema.get_function_with_opset_version(opset))
    f.doc_string = ""
    for n in f.node:
        n.doc_string = ""
    # The name and attributes, with their defaults, are the schema's.
    f.name = schema.name
    f.domain = schema.domain
    del f.attribute[:]
    del f.attribute_proto[:]
    for name, a in sorted(schema.attributes.items()):
        if a.default_value.type == onnx.AttributeProto.UNDEFINED:
            f.attribute.append(name)
        else:
            d = f.attribute_proto.add()
            d.CopyFrom(a.default_value)
            d.name = name
    return f.SerializeToString(deterministic=True)


def main(path):
    history = {}
    for s in defs.get_all_schemas_with_history():
        history.setdefault((s.domain, s.name), []).append(s)
    records, context = [], []
    for (domain, name), schemas in sorted(history.items()):
        schemas.sort(key=lambda s: s.since_version)
        for i, s in enumerate(schemas):
            if s.deprecated:
                continue
            if s.has_context_dependent_function:
                context.append(f"{domain or 'ai.onnx'}.{name}-{s.since_version}")
            if not s.has_function:
                continue
            until = schemas[i + 1].since_version if i + 1 < len(schemas) else 0
            for opset in sorted(s.function_opset_versions):
                records.append(
                    chunk(domain.encode()) + chunk(name.encode()) + varint(s.since_version)
                    + varint(until) + varint(opset) + chunk(body(s, opset))
                )
    data = b"".join(records)
    with open(path, "wb") as f, gzip.GzipFile("", "wb", 9, f, mtime=0) as z:
        z.write(data)
    print(len(records), "bodies,", len(data), "bytes; by context:", " ".join(context), file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1])
