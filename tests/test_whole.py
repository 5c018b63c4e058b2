"""Files and folders that appear whole or not at all."""

import pytest

from tf_interformer.whole import whole_file, whole_folder, write_text


def write(folder, text):
    folder.mkdir()
    (folder / "part").write_text(text)


def test_of_two_writers_of_a_folder_one_is_told(tmp_path):
    target = tmp_path / "models" / "1"
    with pytest.raises(FileExistsError, match="models/1 exists already"), whole_folder(target) as slow:
        write(slow, "slow")
        with whole_folder(target) as fast:
            write(fast, "fast")
    assert (target / "part").read_text() == "fast"
    assert [path.name for path in target.parent.iterdir()] == ["1"]
    with pytest.raises(FileExistsError, match="exists already"), whole_folder(target):
        raise AssertionError("nothing is written in vain")


def test_what_fails_leaves_nothing(tmp_path):
    with pytest.raises(OSError, match="disk full"), whole_folder(tmp_path / "folder") as folder:
        write(folder, "half")
        raise OSError("disk full")
    write_text(tmp_path / "file.txt", "before")
    with pytest.raises(OSError, match="disk full"), whole_file(tmp_path / "file.txt") as file:
        assert file.suffix == ".txt"
        file.write_text("half")
        raise OSError("disk full")
    assert (tmp_path / "file.txt").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]


def test_two_writers_of_a_file_do_not_mix(tmp_path):
    with whole_file(tmp_path / "file") as one, whole_file(tmp_path / "file") as other:
        one.write_text("one")
        other.write_text("other")
    assert (tmp_path / "file").read_text() == "one"
