"""Writes cases.json.gz: small tokenizers of many kinds, and what the reference makes of difficult texts; and
corpus.txt and trained.json: what it trains.

    pip install tokenizers sentencepiece
    python make.py
"""

import base64
import gzip
import json
import os
import tempfile

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = [
    "The quick brown fox jumps over the lazy dog, and doesn't stop: it's 12,345 times faster!",
    "Stones are made of minerals. A gneiss is a stone with bands; granite has none.",
    "Pack my box with five dozen liquor jugs. How vexingly quick daft zebras jump?",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
    "Voix ambiguë d’un cœur qui, au zéphyr, préfère les jattes de kiwis. Ça va, naïve façade?",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "いろはにほへと ちりぬるを。東京は日本の首都です。我能吞下玻璃而不伤身体。",
    "صِف خَلقَ خَودِ كَمِثلِ الشَمسِ إِذ بَزَغَت. דג סקרן שט בים מאוכזב",
    "다람쥐 헌 쳇바퀴에 타고파. नमस्ते दुनिया! สวัสดีชาวโลก",
    "def f(x):\n\treturn x**2 + 1  # comment\n\n\nclass A:\n    pass\r\n",
    "low lower lowest new newer newest wide wider widest " * 3,
] * 3

TEXTS = [
    "", " ", "   ", "\n\n \t ", "a", "Hello, world!", "  leading and trailing  ", "two  spaces   three",
    "The quick brown fox isn't lazy; it's 3.14159 metres, they'll say we've won.", "don't DON'T I'M you'RE 'ſ",
    "naïve café Ångström — “quoted” … end", "e\u0301a\u0308o\u0302\u0323 q\u0323\u0307 \u1e9b\u0323 \u0041\u030a",
    "\u0301leading mark", "ﬁne ½ ① Ⅷ ㎏ ﷺ ｶﾞ ２０", "İstanbul ISPARTA ΌΣΟΣ ẞ DŽ", "각 한국어 \u1112\u1161\u11ab\u1100\u1173\u11af",
    "我能吞下玻璃而不伤身体。東京 2024年", "العَرَبِيَّة ١٢٣ עברית", "नमस्ते दुनिया สวัสดี", "😀 👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇩🇪🇫🇷 ☺️",
    "tab\tnew\nline\r\ncarriage\rend\x0b\x0c", "ctrl \x00\x01\x07\x1b\x7f \x85 \xad \u200b\u200d\u200c\u2028\u2029 \ufeff \ufffd",
    "nbsp\u00a0and\u3000wide\u2009thin", "private \ue000 unassigned \u0378 \U000e0001 \U0010ffff", "x" * 300, "lowest" * 60, "!?." * 40,
    "ab " * 60, "a\u0300" * 40, "<s>special</s>", "text <mask> text<mask>text  <mask>  end", "[CLS] in [SEP] the [MASK] text [PAD][UNK]",
    "<|endoftext|>start<|endoftext|> middle <|endoftext|>", "word myword wordmy my-word word", "Straße STRASSE ſtraße", "snake_case camelCase x2y 1st",
    "http://example.com/a?b=c&d=%20#e f@g.h", "1 12 123 1234 12345 1,234.5 ٣٤ ⅷ ²", "a|b||c|", "--- -a- a--b -", "▁meta ▁▁space▁", "Ġbyte Ċ Ġ",
    "<0x41> <0xE2> �", "\"quotes\" 'single' `back`", "我a我 a我b", "œ æ ø ł đ", "lower newest widest quick", "mixed混合текст😀end",
]

PAIRS = [("Hello there", "General Kenobi!"), ("", "second"), ("first", ""), ("The quick brown fox jumps", "lowest"), ("我能", "naïve café, isn't it? " * 3)]

LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CL100K = r"(?i:[sdmt]|'ll|'ve|'re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
CLIP = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"

made = {}


def train(t, trainer):
    t.train_from_iterator(CORPUS, trainer)
    return t


def byte_alphabet():
    return pre_tokenizers.ByteLevel.alphabet()


def byte_bpe(**kw):
    t = Tokenizer(models.BPE(**kw))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    train(t, trainers.BpeTrainer(vocab_size=420, initial_alphabet=byte_alphabet(), special_tokens=["<|endoftext|>"], show_progress=False))
    t.decoder = decoders.ByteLevel()
    return t


def words(pre, norm=None):
    """Words alone: the offsets tell how the text is cut."""
    t = Tokenizer(models.WordLevel({"<unk>": 0, "the": 1, "fox": 2, "Hello": 3, "a": 4, ",": 5}, unk_token="<unk>"))
    t.pre_tokenizer = pre
    if norm is not None:
        t.normalizer = norm
    return t


def characters(norm):
    """Bytes alone: the ids tell what a normalizer makes of the text."""
    t = Tokenizer(models.BPE({c: i for i, c in enumerate(sorted(byte_alphabet()))}, []))
    t.normalizer = normalizers.Sequence([norm, normalizers.ByteLevel()])
    t.decoder = decoders.ByteLevel()
    return t


t = byte_bpe()
t.post_processor = processors.ByteLevel(trim_offsets=True)
made["gpt2"] = t

t = byte_bpe()
t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
t.add_special_tokens(["<s>", "</s>", AddedToken("<mask>", lstrip=True, special=True)])
t.post_processor = processors.RobertaProcessing(("</s>", t.token_to_id("</s>")), ("<s>", t.token_to_id("<s>")), trim_offsets=True, add_prefix_space=True)
made["roberta"] = t

t = byte_bpe()
t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False)
t.post_processor = processors.ByteLevel(trim_offsets=False)
made["bytelevel no regex"] = t

t = byte_bpe(ignore_merges=True)
t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
t.add_special_tokens(["<s>", "</s>"])
t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
    single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", t.token_to_id("<s>"))])])
made["llama3"] = t

t = byte_bpe()
t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(CL100K), "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
made["cl100k"] = t

t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
train(t, trainers.BpeTrainer(vocab_size=700, special_tokens=["<unk>", "<s>", "</s>"] + ["<0x%02X>" % i for i in range(256)], limit_alphabet=80, show_progress=False))
t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
made["llama2"] = t

t2 = Tokenizer.from_str(t.to_str())
t2.normalizer = normalizers.Sequence([])
t2.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
t2.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="first")
t2.add_special_tokens([AddedToken("<mask>", normalized=False, special=True)])
made["metaspace first"] = t2

t = Tokenizer(models.BPE(unk_token="<unk>"))
t.pre_tokenizer = pre_tokenizers.Whitespace()
train(t, trainers.BpeTrainer(vocab_size=200, special_tokens=["<unk>"], limit_alphabet=40, show_progress=False))
made["bpe unk"] = t

t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, continuing_subword_prefix="##", end_of_word_suffix="</w>"))
t.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(CLIP), "removed", invert=True)])
train(t, trainers.BpeTrainer(vocab_size=500, special_tokens=["<unk>"], continuing_subword_prefix="##", end_of_word_suffix="</w>", show_progress=False))
t.decoder = decoders.BPEDecoder("</w>")
made["clip"] = t

for name, norm in [("bert uncased", normalizers.BertNormalizer()), ("bert cased", normalizers.BertNormalizer(lowercase=False)),
                   ("bert plain", normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=True))]:
    t = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100 if name != "bert plain" else 1000))
    t.normalizer = norm
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    train(t, trainers.WordPieceTrainer(vocab_size=450, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False))
    t.decoder = decoders.WordPiece(cleanup=name != "bert plain")
    if name == "bert cased":
        t.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
        t.enable_truncation(9, strategy="longest_first", direction="left")
        t.enable_padding(direction="left", pad_to_multiple_of=4, pad_id=0, pad_token="[PAD]")
    else:
        t.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
        if name == "bert uncased":
            t.enable_truncation(16)
            t.enable_padding(length=16, pad_id=0, pad_type_id=0, pad_token="[PAD]")
    made[name] = t

for name, kw in [("unigram", {}), ("unigram bytes", {"byte_fallback": True})]:
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    scheme = "never" if kw else "always"
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    special = ["<pad>", "</s>", "<unk>"] + (["<0x%02X>" % i for i in range(256)] if kw else [])
    train(t, trainers.UnigramTrainer(vocab_size=450 + len(special), special_tokens=special, unk_token="<unk>", show_progress=False))
    if kw:
        d = json.loads(t.to_str())
        d["model"]["byte_fallback"] = True
        t = Tokenizer.from_str(json.dumps(d))
    t.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme=scheme)])
    t.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B:1 </s>:1", special_tokens=[("</s>", 1)])
    made[name] = t

with tempfile.TemporaryDirectory() as tmp:
    import sentencepiece as spm
    from sentencepiece import sentencepiece_model_pb2 as pb
    rules = ["0065 0301\t00E9", "00BD\t0031 2044 0032", "FB01\t0066 0069", "000D 000A\t0020", "000D\t0020", "0009\t0020", "3000\t0020", "200B\t",
             "FF76 FF9E\t30AC", "2460\t0031", "0061 0308\t00E4", "00A0\t0020", "FF12\t0032", "FF10\t0030", "FDFA\t0635 0644 0649"]
    open(os.path.join(tmp, "rules.tsv"), "w").write("\n".join(rules) + "\n")
    open(os.path.join(tmp, "corpus.txt"), "w").write("\n".join(CORPUS))
    spm.SentencePieceTrainer.train(input=os.path.join(tmp, "corpus.txt"), model_prefix=os.path.join(tmp, "m"), vocab_size=260, normalization_rule_tsv=os.path.join(tmp, "rules.tsv"), minloglevel=2)
    m = pb.ModelProto()
    m.ParseFromString(open(os.path.join(tmp, "m.model"), "rb").read())
t = Tokenizer(models.Unigram([(p.piece, p.score) for p in m.pieces], unk_id=0))
d = json.loads(t.to_str())
precompiled = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(m.normalizer_spec.precompiled_charsmap).decode()}
d["normalizer"] = precompiled
d["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}]}
d["decoder"] = {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}
made["xlm-r"] = Tokenizer.from_str(json.dumps(d))
made["precompiled"] = characters(made["xlm-r"].normalizer)

for name, norm in [("NFC", normalizers.NFC()), ("NFD", normalizers.NFD()), ("NFKC", normalizers.NFKC()), ("NFKD", normalizers.NFKD()), ("Lowercase", normalizers.Lowercase()),
                   ("Strip", normalizers.Strip()), ("Strip left", normalizers.Strip(True, False)), ("StripAccents", normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.NFC()])),
                   ("BertNormalizer", normalizers.BertNormalizer()), ("Nmt", normalizers.Nmt()), ("Prepend", normalizers.Prepend("ab▁")),
                   ("Replace", normalizers.Sequence([normalizers.Replace(Regex(r"(?<=\w)[aeiou]|^\s|\d+"), "ö"), normalizers.Replace("o", "")]))]:
    made["normalizer " + name] = characters(norm)

P = pre_tokenizers
for name, pre in [("Whitespace", P.Whitespace()), ("WhitespaceSplit", P.WhitespaceSplit()), ("Bert", P.BertPreTokenizer()), ("Digits", P.Digits(False)), ("Digits individual", P.Digits(True)),
                  ("CharDelimiterSplit", P.CharDelimiterSplit("|")), ("Metaspace", P.Metaspace()), ("Metaspace never", P.Metaspace("_", prepend_scheme="never")),
                  ("Sequence", P.Sequence([P.WhitespaceSplit(), P.Punctuation("merged_with_previous"), P.Digits(True)])), ("FixedLength", P.FixedLength(3)), ("Regex word", P.Split(Regex(r"\w+|\W"), "isolated")),
                  ("Regex lines", P.Split(Regex(r"^\s*|[a-c]$"), "isolated"))]:
    made["pre_tokenizer " + name] = words(pre)
for b in ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]:
    made["punctuation " + b] = words(P.Punctuation(b))
    made["split " + b] = words(P.Split(Regex("[ a-]+?"), b))
    made["split inverted " + b] = words(P.Split("-", b, invert=True), normalizers.Lowercase())

t = words(P.Whitespace(), normalizers.Sequence([normalizers.Lowercase(), normalizers.NFD(), normalizers.StripAccents()]))
t.add_tokens([AddedToken("word", single_word=True), AddedToken("my", normalized=False), AddedToken("Café", normalized=True), AddedToken("<s>", rstrip=True, lstrip=True), "end", AddedToken("ending")])
t.add_special_tokens([AddedToken("<mask>", rstrip=True), AddedToken("[SEP]", single_word=True), AddedToken("</s>", normalized=True)])
made["added"] = t

t = byte_bpe()
t.normalizer = normalizers.NFD()
t.add_tokens([AddedToken("naïve", normalized=True), AddedToken("😀", normalized=True)])
made["added bytelevel"] = t

t = words(P.CharDelimiterSplit("|"))
t.decoder = decoders.CTC(pad_token="a", word_delimiter_token="<unk>")
made["ctc"] = t


def byte_offsets(text, offsets):
    at = [0]
    for c in text:
        at.append(at[-1] + len(c.encode()))
    return [[at[a], at[b]] for a, b in offsets]


def case(t, text, pair, special):
    try:
        e = t.encode(text, pair, add_special_tokens=special)
    except Exception as err:
        return {"text": text, "pair": pair, "special": special, "error": str(err)}
    offsets = [list(o) for o in e.offsets]
    seq = [(0 if s is None else s) for s in e.sequence_ids]
    both = [byte_offsets(x, [o if s == i else (0, 0) for o, s in zip(offsets, seq)]) for i, x in enumerate([text, pair or ""])]
    return {"text": text, "pair": pair, "special": special, "ids": e.ids, "types": e.type_ids, "tokens": e.tokens, "offsets": [both[s][i] for i, s in enumerate(seq)],
            "mask": e.attention_mask, "special_mask": e.special_tokens_mask, "decoded": t.decode(e.ids, skip_special_tokens=False), "skipped": t.decode(e.ids)}


def main():
    out = []
    for name, t in made.items():
        cases = [case(t, x, None, True) for x in TEXTS] + [case(t, a, b, True) for a, b in PAIRS] + [case(t, a, b, False) for a, b in PAIRS[:2]]
        batch = t.encode_batch([x for x in TEXTS if len(x) < 30])
        out.append({"name": name, "tokenizer": json.loads(t.to_str()), "cases": cases, "batch": [e.ids for e in batch]})
    # Old files: merges with spaces, no type.
    old = json.loads(made["gpt2"].to_str())
    old["model"]["merges"] = [" ".join(m) for m in old["model"]["merges"]]
    del old["model"]["type"]
    out.append({"name": "old", "tokenizer": old, "cases": [case(made["gpt2"], x, None, True) for x in TEXTS[:12]], "batch": []})
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases.json.gz")
    with open(path, "wb") as f, gzip.GzipFile(fileobj=f, mode="wb", mtime=0, compresslevel=9) as z:
        z.write(json.dumps(out, ensure_ascii=False, separators=(",", ":")).encode())
    print(path, os.path.getsize(path), "bytes,", sum(len(o["cases"]) for o in out), "cases")


def trained(folder):
    path = os.path.join(folder, "corpus.txt")
    lines = [line for text in CORPUS[:11] for line in text.split("\n") if line.strip() and "\r" not in line]
    with open(path, "w") as f:
        f.write("\n".join(lines) + "\n")
    kinds = {}

    def keep(name, t, trainer):
        t.train_from_iterator(lines, trainer)
        kinds[name] = json.loads(t.to_str())

    for name, kw in [("bpe", dict(vocab_size=500, special_tokens=["<|endoftext|>"])), ("bpe frequent", dict(vocab_size=1000, min_frequency=5, special_tokens=["<a>", "<b>"]))]:
        t = Tokenizer(models.BPE())
        t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        keep(name, t, trainers.BpeTrainer(initial_alphabet=byte_alphabet(), show_progress=False, **kw))
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer()
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    keep("wordpiece", t, trainers.WordPieceTrainer(vocab_size=400, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False))
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    keep("unigram", t, trainers.UnigramTrainer(vocab_size=300, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False))
    with open(os.path.join(folder, "trained.json"), "w") as f:
        json.dump(kinds, f, ensure_ascii=False, separators=(",", ":"))


if __name__ == "__main__":
    main()
    trained(os.path.dirname(os.path.abspath(__file__)))
