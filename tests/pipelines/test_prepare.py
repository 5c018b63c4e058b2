import numpy as np
import pytest

from pipelines import prepare
from pipelines.config import DatasetConfig
from pipelines.input import SPLITS, open_source
from tf_interformer.preprocessing import Preprocessor


@pytest.fixture(scope="module")
def prepared_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("tfds")


@pytest.mark.parametrize("file_format", ["tfrecord", "parquet"])
def test_written_files_hold_the_same_examples(tmp_path, prepared_dir, file_format, capsys):
    output = tmp_path / "clicks"
    given = ["--dataset", "synthetic_clicks", "--builder-config", "tiny", "--prepared-dir", str(prepared_dir)]
    given += ["--output", str(output), "--format", file_format]
    assert prepare.main(given) == 0
    built = open_source(DatasetConfig(name="synthetic_clicks", builder_config="tiny"), None, prepared_dir)
    written = open_source(DatasetConfig(name="mine", format=file_format, labels=built.schema.tasks), output)
    assert written.schema == built.schema
    encode = Preprocessor(built.schema.learn(built.raw_batches("train", 512).as_numpy_iterator()))
    for split in SPLITS:
        pairs = zip(built.raw_batches(split, 512), written.raw_batches(split, 512), strict=True)
        for left, right in pairs:
            np.testing.assert_array_equal(left["is_click"], right["is_click"])
            ours = encode(right)
            for name, value in encode(left).items():
                np.testing.assert_array_equal(value, ours[name], err_msg=name)
    assert prepare.main(given) == 2
    assert "exists already" in capsys.readouterr().err
