"""Makes tests/text/vectors/FOLDER: tiny tokenizers of each public kind, and what they make of tricky texts.

    python tests/ref/tokenizing.py [folder ...]

Versions: tokenizers 0.23.3, transformers 5.23.0, sentencepiece 0.2.3. README.md has the layout.
"""
import io
import json
import os
import pathlib
import sys

sys.dont_write_bytecode = True
os.environ["HF_HUB_OFFLINE"] = "1"
import sentencepiece
import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers

OUT = pathlib.Path(__file__).resolve().parent.parent / "text" / "vectors"
MAKERS = {}

CORPUS = """The quick brown fox jumps over the lazy dog. A picture of a red cat, please; now turn it into a sound!
She said: "don't you think we're late?" I'd rather they'll come at 10:45, or 3.14 hours from 2026-11-28.
What is the right music for this image? The image shows two dogs and the sound of rain on the sea.
naïve café façade, Zoë's über-cool résumé; señor, mañana - 12345 67890, +-*/ <= >= != == && || ...
Привет, мир! Как дела? 日本語の文章です。 東京は大きい。 한국어 문장. مرحبا بالعالم
def f(x):\n    return x ** 2\n\n\tprint(f(3))  # a comment
The cat sat on the mat, the dog sat on the log, and the rain fell on the image of the sea."""
LINES = CORPUS.split("\n") * 3

TEXTS = [
    "", " ", "  ", "a", " a", "a ", "  two  spaces  ", "The quick brown fox.", "the cat's don't WE'RE I'D",
    "hello\nworld\n\n  x\t y\r\n", "naïve café Zoë ÀÉÎ İstanbul", "e\u0301 o\u0308 \u212b \ufb01 \u00bd", "日本語の東京", "Привет, мир!", "😀 👩‍👩‍👧 🇩🇪",
    "مرحبا", "1234567 3.14 10:45", "<s>", "</s> <unk>", "a<s>b", "an <image> of a cat", "<image><image>  <image>", "<s> the</s> cat <s>the",
    "▁", "a▁b", "▁ the", "<0x41> <0x0A>", "\u00a0x\u00a0", "\u2003y\u3000z", "x\u200by\u200d", "!!!??? ...---", "'s 's!!'s", "\ufefftext",
    "THE CAT", "thecatsatonthemat", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "<|endoftext|> x <|startoftext|>", "x <mask> y", "&amp; &lt;p&gt;",
    "\u0000\u0001\u007f", "\U0010ffff\ue000", "the\u00adcat", "ﬁne Ⅷ ①", "a  b   c    d", "\n", "\t\t", "rain on the sea and " * 8,
]

# About tokens that are words, and what counts as beside them.
ALONE = ["dog", " dog", "a  dog.", "dogs dog", "xdog dogé édog 犬dog", "dog_ _dog -dog-", "dog5 dog\u0301", "dogdog", "<S>", "a <S><s>",
         "CAT", "a cat", "a Cat, a CATS", "rain on", "rain on  the", "rain one", "rain on_ rain", "<IMAGE>x <image>"]


def folder(f):
    MAKERS[f.__name__] = f
    return f


def write(name, encode, decode, files, texts=TEXTS, size=None):
    """encode(text, special) -> ids; decode(ids, skip) -> text; files: name -> bytes."""
    where = OUT / name
    where.mkdir(parents=True, exist_ok=True)
    for file, data in files.items():
        (where / file).write_bytes(data)
    cases = []
    for text in texts:
        ids, special = encode(text, False), encode(text, True)
        cases.append({"text": text, "ids": ids, "special": special, "decoded": decode(ids, False), "skipped": decode(special, True)})
    out = json.dumps({"size": size, "cases": cases}, ensure_ascii=True, separators=(",", ":"))
    (where / "cases.json").write_text(out.replace('{"text"', '\n{"text"') + "\n")


def by_tokenizers(name, tok, files=None, decode=None, texts=TEXTS):
    data = json.dumps(json.loads(tok.to_str()), ensure_ascii=False, separators=(",", ":")).encode()
    write(name, lambda s, special: tok.encode(s, add_special_tokens=special).ids,
          decode or (lambda ids, skip: tok.decode(ids, skip_special_tokens=skip)), files or {"tokenizer.json": data}, texts,
          tok.get_vocab_size(with_added_tokens=True))


# ---- Llama ----

def llama_model():
    """A BPE model of Llama's layout: three control pieces, the bytes, what was merged, single characters."""
    t = tokenizers.Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=460, special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)],
                                  limit_alphabet=60, show_progress=False)
    t.train_from_iterator(LINES, trainer)
    t.pre_tokenizer = None
    state = json.loads(t.to_str())
    state["added_tokens"] = state["added_tokens"][:3]
    return tokenizers.Tokenizer.from_str(json.dumps(state))


def llama_parts(t):
    t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    t.add_tokens([AddedToken("<image>", normalized=False)])
    return t


@folder
def llama_legacy(name):
    """Prepend and Replace, for every stretch between special tokens anew."""
    t = llama_parts(llama_model())
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    by_tokenizers(name, t)


@folder
def llama_normalised(name):
    """Added tokens that are looked for in the normalised text, and such as must stand alone."""
    t = llama_parts(llama_model())
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁"), normalizers.Lowercase()])
    t.add_tokens([AddedToken("Cat", normalized=True, single_word=True), AddedToken("dog", normalized=False, single_word=True, lstrip=True),
                  AddedToken("rain", normalized=False), AddedToken("rain on", normalized=False, single_word=True, rstrip=True)])
    state = json.loads(t.to_str())

    def reload(is_normalised):
        for a in state["added_tokens"]:
            a["normalized"] = is_normalised(a)
        return tokenizers.Tokenizer.from_str(json.dumps(state))
    # The crate decodes a normalised token as its normalised text, and does not know it as special: plain decodes.
    plain = reload(lambda a: False)
    t = reload(lambda a: not a["content"].startswith(("dog", "rain")))
    by_tokenizers(name, t, decode=lambda ids, skip: plain.decode(ids, skip_special_tokens=skip), texts=TEXTS + ALONE)


@folder
def llama_first(name):
    """Metaspace that puts its prefix at the very start only."""
    t = llama_parts(llama_model())
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    by_tokenizers(name, t)


@folder
def llama_bytes(name):
    """Llama 3's: byte level after a pattern of its own, whole words first, no unknown piece."""
    t = tokenizers.Tokenizer(models.BPE(ignore_merges=True))
    pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                               pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    t.train_from_iterator(LINES, trainer)
    t.add_special_tokens(["<s>", "</s>"])
    t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", t.token_to_id("<s>"))])])
    by_tokenizers(name, t)


# ---- CLIP, GPT-2, RoBERTa ----

def merged_files(t, where):
    state = json.loads(t.to_str())["model"]
    merges = "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in state["merges"])
    return {"vocab.json": json.dumps(state["vocab"], ensure_ascii=False, separators=(",", ":")).encode(), "merges.txt": merges.encode()}


def clip_tokenizer():
    t = tokenizers.Tokenizer(models.BPE(continuing_subword_prefix="", end_of_word_suffix="</w>", fuse_unk=False, unk_token="<|endoftext|>"))
    t.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    words = r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(words), "removed", invert=True),
                                               pre_tokenizers.ByteLevel(add_prefix_space=False)])
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=700, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False)
    t.train_from_iterator(LINES, trainer)
    state = json.loads(t.to_str())
    vocab = state["model"]["vocab"]
    for ch in sorted(alphabet):
        vocab.setdefault(ch + "</w>", len(vocab))
    for text in ("<|startoftext|>", "<|endoftext|>"):
        vocab[text] = len(vocab)
    t = tokenizers.Tokenizer.from_str(json.dumps(state))
    t.add_special_tokens(["<|startoftext|>", "<|endoftext|>"])
    start, end = (t.token_to_id(f"<|{x}oftext|>") for x in ("start", "end"))
    t.post_processor = processors.RobertaProcessing(("<|endoftext|>", end), ("<|startoftext|>", start), trim_offsets=False, add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    return t


def clip_decode(t):
    """As transformers' CLIPTokenizer: words end in spaces, none at the end."""
    def decode(ids, skip):
        return t.decode(ids, skip_special_tokens=skip).replace("</w>", " ").strip()
    return decode


@folder
def clip_json(name):
    """CLIP as tokenizer.json."""
    t = clip_tokenizer()
    by_tokenizers(name, t, decode=clip_decode(t))


@folder
def clip_files(name):
    """CLIP as vocab.json and merges.txt; the reference is transformers' CLIPTokenizer."""
    import transformers
    files = merged_files(clip_tokenizer(), OUT / name)
    t = transformers.CLIPTokenizer(vocab=json.loads(files["vocab.json"]), merges=[tuple(x.split(" ")) for x in files["merges.txt"].decode().split("\n")[1:-1]])
    inner = t._tokenizer
    by_tokenizers(name, inner, files, clip_decode(inner))


def gpt2_tokenizer(prefix):
    t = tokenizers.Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    t.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    t.train_from_iterator(LINES, trainer)
    return t


@folder
def gpt2_files(name):
    """GPT-2 as vocab.json and merges.txt."""
    t = gpt2_tokenizer(False)
    state = json.loads(t.to_str())
    state["model"]["vocab"]["<|endoftext|>"] = len(state["model"]["vocab"])
    t = tokenizers.Tokenizer.from_str(json.dumps(state))
    t.add_special_tokens(["<|endoftext|>"])
    by_tokenizers(name, t, merged_files(t, OUT / name))


@folder
def roberta(name):
    """RoBERTa as tokenizer.json: a space in front, <mask> takes the space before it along."""
    t = gpt2_tokenizer(True)
    t.add_special_tokens(["<s>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True, normalized=False)])
    ids = [(x, t.token_to_id(x)) for x in ("</s>", "<s>")]
    t.post_processor = processors.RobertaProcessing(*ids, trim_offsets=True, add_prefix_space=True)
    by_tokenizers(name, t)


# ---- sentencepiece ----

def train(**how):
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(LINES), model_writer=out, minloglevel=2, num_threads=1,
                                             input_sentence_size=0, hard_vocab_limit=False, **how)
    return out.getvalue()


def by_sentencepiece(name, data, before, after, file="tokenizer.model"):
    sp = sentencepiece.SentencePieceProcessor(model_proto=data)
    special = {i for i in range(sp.get_piece_size()) if sp.is_control(i) or sp.is_unknown(i)}
    texts = [s for s in TEXTS if "\0" not in s]

    def encode(s, with_special):
        ids = sp.encode(s)
        return before * with_special + ids + after * with_special

    def decode(ids, skip):
        return sp.decode([i for i in ids if not (skip and i in special)])
    write(name, encode, decode, {file: data}, texts, sp.get_piece_size())


@folder
def llama_model_file(name):
    """Llama's tokenizer.model: BPE, bytes, spaces as they are; and a symbol of the user's."""
    data = train(model_type="bpe", vocab_size=460, byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
                 character_coverage=0.98, split_digits=True, user_defined_symbols=["<image>", "xx"], allow_whitespace_only_pieces=True)
    by_sentencepiece(name, data, [1], [])


def rules(folder_of):
    """A small table of what characters become, in place of the 240 kB of nmt_nfkc."""
    path = folder_of / "rules.tsv"
    pairs = [("\u2003", " "), ("\u3000", " "), ("\t", " "), ("\n", " "), ("\ufb01", "fi"), ("\u00bd", "1/2"), ("e\u0301", "é"), ("o\u0308", "ö"),
             ("\u212b", "Å"), ("\u00ad", ""), ("\u200b", ""), ("A", "a"), ("AB", "x"), ("\u00a0", " ")]
    path.write_text("".join(f"{' '.join(f'{ord(c):X}' for c in a)}\t{' '.join(f'{ord(c):X}' for c in b)}\n" for a, b in pairs))
    return path


def t5_data(where):
    where.mkdir(parents=True, exist_ok=True)
    path = rules(where)
    data = train(model_type="unigram", vocab_size=300, normalization_rule_tsv=str(path), pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
                 character_coverage=0.98)
    path.unlink()
    return data


@folder
def t5_model_file(name):
    """T5's spiece.model: unigram, a normalisation table, spaces folded, unknown pieces."""
    by_sentencepiece(name, t5_data(OUT / name), [], [1], "spiece.model")


@folder
def t5_json(name):
    """The same as tokenizer.json: Precompiled, Metaspace, extra ids at the end."""
    import sentencepiece.sentencepiece_model_pb2 as pb
    proto = pb.ModelProto()
    proto.ParseFromString(t5_data(OUT / name))
    t = tokenizers.Tokenizer(models.Unigram([(p.piece, p.score) for p in proto.pieces], proto.trainer_spec.unk_id))
    t.normalizer = normalizers.Sequence([normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap), normalizers.Strip(left=False, right=True),
                                         normalizers.Replace(Regex(" {2,}"), "▁")])
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    t.decoder = decoders.Metaspace(prepend_scheme="always")
    t.add_special_tokens(["<pad>", "</s>", "<unk>", "<extra_id_1>", "<extra_id_0>"])
    t.post_processor = processors.TemplateProcessing(single=["$A", "</s>"], pair=["$A", "$B", "</s>"], special_tokens=[("</s>", 1)])
    by_tokenizers(name, t)


if __name__ == "__main__":
    for name in sys.argv[1:] or MAKERS:
        MAKERS[name](name)
        print(name, {p.name: p.stat().st_size for p in sorted((OUT / name).iterdir())})
