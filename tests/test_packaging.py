"""What makes one binary serve every torch: its name, its symbols, what it links, and errors where it cannot load."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seqgrad import _ext
from seqgrad._sources import digest

EXTENSION = Path(_ext.__file__).with_name("_C.abi3.so")


def output_of(tool: str, *arguments: str) -> str:
    """What a binutils program says about the extension."""
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed (Debian, Ubuntu: apt install binutils)")
    return subprocess.run([tool, *arguments, str(EXTENSION)], capture_output=True, text=True, check=True).stdout


def test_extension_is_named_for_every_python() -> None:
    found = [path.name for path in EXTENSION.parent.glob("_C*")]
    assert found == ["_C.abi3.so"]


def test_no_cpp_symbol_of_torch_is_needed() -> None:
    needed = output_of("nm", "--dynamic", "--demangle", "--undefined-only")
    assert "torch_call_dispatcher" in needed or "aoti_torch" in needed, "nm lists none of torch's C functions"
    forbidden = re.findall(r"^.*\b(?:at|c10|torch|caffe2)::.*$", needed, re.MULTILINE)
    assert forbidden == []


def test_no_python_symbol_is_needed() -> None:
    needed = output_of("nm", "--dynamic", "--undefined-only")
    assert re.findall(r"\b_?Py[A-Z_]\w*", needed) == []


def test_neither_torch_python_nor_cuda_libraries_are_linked() -> None:
    linked = set(re.findall(r"\(NEEDED\).*\[(.+)\]", output_of("readelf", "--dynamic", "--wide")))
    assert "libc.so.6" in linked, "readelf lists no library"
    assert not {name for name in linked if re.search(r"torch_python|torch_cuda|c10_cuda|cudart|libpython", name)}


def test_no_search_path_of_the_building_machine_is_kept() -> None:
    assert "RPATH" not in (dynamic := output_of("readelf", "--dynamic", "--wide"))
    assert "RUNPATH" not in dynamic


def test_build_info_tells_what_the_binary_is() -> None:
    info = _ext.build_info()
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", info.version)
    assert re.match(r"\d+\.\d+", info.torch)
    assert re.match(r"gcc|clang|Apple|Intel", info.compiler, re.IGNORECASE)
    assert _ext.has_cuda() == info.cuda == bool(info.cuda_archs)


def test_digest_sees_every_change_of_a_source(tmp_path: Path) -> None:
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "a.h").write_text("1")
    first = digest(tmp_path)
    (tmp_path / "README.md").write_text("prose")
    assert digest(tmp_path) == first
    (tmp_path / "core" / "a.h").write_text("2")
    assert digest(tmp_path) != first
    (tmp_path / "core" / "a.h").write_text("1")
    (tmp_path / "core" / "a.h").rename(tmp_path / "core" / "b.h")
    assert digest(tmp_path) != first


def source_tree(folder: Path) -> Path:
    """A bare source tree; returns its package folder."""
    package = folder / "seqgrad"
    package.mkdir()
    (folder / "csrc").mkdir()
    (folder / "setup.py").touch()
    return package


def test_a_tree_that_was_not_built_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ext, "_installed_elsewhere", lambda package: None)
    with pytest.raises(ImportError, match=r"native extension is not built: .*pip install --no-build-isolation -e \."):
        _ext.extension(source_tree(tmp_path))


def test_a_source_tree_that_hides_an_installed_package_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ext, "_installed_elsewhere", lambda package: Path("site-packages/seqgrad"))
    with pytest.raises(ImportError, match=r"hides the installed package in site-packages\. Run from another folder"):
        _ext.extension(source_tree(tmp_path))


def test_an_installation_without_extension_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ext, "_installed_elsewhere", lambda package: None)
    with pytest.raises(ImportError, match="installed without its native extension"):
        _ext.extension(tmp_path)


def test_a_file_that_is_no_library_says_so(tmp_path: Path) -> None:
    (tmp_path / "_C.abi3.so").write_text("not a library")
    with pytest.raises(ImportError, match=r"(?s)cannot load .*_C\.abi3\.so: .*rebuild it"):
        _ext.extension(tmp_path)


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler to make a library with a missing symbol")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the loader's message is that of Linux")
def test_a_symbol_that_this_torch_lacks_is_named(tmp_path: Path) -> None:
    source = tmp_path / "newer.c"
    source.write_text("void torch_of_the_future(void); void use(void) { torch_of_the_future(); }")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "_C.abi3.so", source], check=True)
    with pytest.raises(ImportError, match=r"needs the symbol torch_of_the_future, .*Upgrade torch"):
        _ext.extension(tmp_path)


def test_changed_sources_are_noticed(tmp_path: Path) -> None:
    package = source_tree(tmp_path)
    (tmp_path / "csrc" / "kernel.cpp").write_text("new")
    with pytest.warns(UserWarning, match=r"was built from other sources than those in .*csrc.* Rebuild: pip install"):
        _ext._warn_if_stale(package, _ext.build_info())
    unchanged = _ext.build_info()._replace(sources=digest(tmp_path / "csrc"))
    _ext._warn_if_stale(package, unchanged)  # a warning would be an error here
