from pathlib import Path

import pytest

from pipelines import ablate, datasets
from pipelines.building import check_model
from pipelines.compare.plan import read_plan
from pipelines.config import ConfigError, ModelConfig, load_config

CONFIGS = sorted((Path(__file__).parents[2] / "pipelines" / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configurations_are_valid(path):
    assert load_config(path).dataset.name


def write(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


def test_overrides_are_yaml(tmp_path):
    path = write(tmp_path, "dataset: {name: synthetic_clicks}\n")
    config = load_config(
        path,
        [
            "training.epochs=3",
            "model.backbone_config.num_layers=2",
            "dataset.labels=[a, b]",
            "training.learning_rate=1.0e-4",
        ],
    )
    assert (config.training.epochs, config.training.learning_rate) == (3, 1e-4)
    assert config.model.backbone_config == {"num_layers": 2}
    assert config.dataset.labels == ("a", "b")


@pytest.mark.parametrize("text", ["1e-5", "1.0E-5", ".1e-4", "+1e-05", "0.00001"])
def test_numbers_with_an_exponent_are_numbers(tmp_path, text):
    config = load_config(
        write(tmp_path, f"dataset: {{name: x}}\nmodel: {{embedding: {{stddev: {text}}}}}\n"),
        [f"model.backbone_config.norm_epsilon={text}", "model.backbone_config.interaction=e5"],
    )
    assert config.model.embedding == {"stddev": 1e-5}
    assert config.model.backbone_config == {"norm_epsilon": 1e-5, "interaction": "e5"}


def test_aliases_are_read(tmp_path):
    text = "dataset: {name: x}\nmodel: {embedding: &e {dim: 4}, backbone_config: {inner: *e, more: [*e, *e]}}\n"
    config = load_config(write(tmp_path, text))
    assert config.model.backbone_config == {"inner": {"dim": 4}, "more": [{"dim": 4}] * 2}


def test_written_out_it_reads_back(tmp_path):
    config = load_config(write(tmp_path, "dataset: {name: x}\nmodel: {embedding: {dim: 4}}\n"), ["training.seed=7"])
    assert load_config(write(tmp_path, config.to_yaml())) == config


def test_another_backbone_comes_without_the_arguments_of_the_file(tmp_path):
    path = write(tmp_path, "dataset: {name: x}\nmodel: {backbone_config: {interaction: dot, num_layers: 2}}\n")

    def arguments(*overrides):
        return load_config(path, overrides).model.backbone_config

    assert arguments("model.backbone=din") == {}
    assert arguments("model.backbone_config.num_heads=4", 'model.backbone="din"') == {"num_heads": 4}
    assert arguments("model.backbone=interformer") == arguments() == {"interaction": "dot", "num_layers": 2}
    assert arguments("model.backbone=interformer", "model.backbone_config.num_layers=3")["interaction"] == "dot"


# Ten lines that stand for 9**9 values.
_BOMB = "a0: &a0 x\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))
WRONG = {
    "no YAML": ("{", [], "is not YAML"),
    "no date": ("a: 2024-02-31\n", [], "is not YAML: it holds what looks like a date, a time or a number and is none"),
    "no number": ("a: 0b_\n", [], "is not YAML: it holds what looks like a date, a time or a number and is none"),
    "no date in an override": ("dataset: {name: x}\n", ["training.epochs=2024-13-01"], "the value is not YAML"),
    "aliases": (_BOMB, [], "is not YAML: it holds more than 100000 values, aliases written out"),
    "an alias of itself": ("a: &a [*a]\n", [], "is not YAML: an alias stands within what it names"),
    "deep": ("a: " + "[" * 20_000, [], "is not YAML: it is nested more than 50 deep"),
    "a deep override": ("dataset: {name: x}\n", ["model.embedding=" + "[" * 2000], "the value is not YAML"),
    "no mapping": ("- a\n", [], "must hold a mapping"),
    "no dataset": ("model: {}\n", [], "dataset: Field required"),
    "unknown key": (
        "dataset: {name: x}\ntraining: {epoch: 3}\n",
        [],
        r"config.yaml, training: there is no key 'epoch'. Did you mean 'epochs'\?",
    ),
    "unknown section": (
        "dataset: {name: x}\ntrain: {epochs: 3}\n",
        [],
        r"yaml: there is no key 'train'. Did you mean 'training'\?",
    ),
    "unlike any key": ("dataset: {name: x, zzz: 1}\n", [], r"dataset: there is no key 'zzz'. There are name, format, "),
    "wrong value": ("dataset: {name: x}\n", ["training.batch_size=0"], r"training.batch_size: .*Received: 0"),
    "wrong choice": ("dataset: {name: x, format: csv}\n", [], r"dataset.format: .*Received: 'csv'"),
    "no list": ("dataset: {name: x, without: price}\n", [], r"dataset.without: .*Received: 'price'"),
    "no equals": ("dataset: {name: x}\n", ["training.epochs"], "--set takes key=value"),
    "value as section": ("dataset: {name: x}\n", ["dataset.name.y=1"], "'name' is a value, not a section"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_configuration_names_file_and_key(tmp_path, case):
    text, overrides, message = WRONG[case]
    with pytest.raises(ConfigError, match=message):
        load_config(write(tmp_path, text), overrides)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read the configuration .*none.yaml: No such file"):
        load_config(tmp_path / "none.yaml")


def test_configurations_of_the_package_go_by_their_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_config("synthetic").dataset.name == "synthetic_clicks"
    assert {model.name for model in read_plan("synthetic").models} >= {"interformer_dhen", "linear"}
    key, variants = ablate.variants_of(["kuairand_hiformer"], None, "hiformer", [])
    assert key == "variant" and len(variants) > 5
    (tmp_path / "synthetic").write_text("dataset: {name: mine}")  # a file comes first
    assert load_config("synthetic").dataset.name == "mine"
    message = r"cannot read the {} synthetik: No such file, and the package brings .*\. Did you mean 'synthetic'\?"
    with pytest.raises(ConfigError, match=message.format("configuration")):
        load_config("synthetik")
    with pytest.raises(ConfigError, match=message.format("comparison")):
        read_plan("synthetik")
    with pytest.raises(ConfigError, match=r"cannot read the variants hifromer: .* Did you mean 'hiformer'\?"):
        ablate.variants_of(["synthetic"], None, "hifromer", [])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"backbone": "interfomer"}, r"Received: 'interfomer'\. Did you mean 'interformer'\?"),
        (
            {"backbone_config": {"num_layer": 1}},
            r"'interformer' has no num_layer\. Did you mean 'num_layers'\? It takes ",
        ),
        (
            {"embedding": {"dims": 1}},
            r"model\.embedding: the embedding has no dims\. Did you mean 'dim'\? It takes dim, ",
        ),
    ],
)
def test_what_was_meant_is_told_of_a_model(model, message):
    with pytest.raises(ConfigError, match=message):
        check_model(ModelConfig(**model))


def test_what_was_meant_is_told_of_a_data_set():
    with pytest.raises(ConfigError, match=r"Received: 'trivagoo'\. Did you mean 'trivago'\?"):
        datasets.build("trivagoo")
    with pytest.raises(ConfigError, match=r"Received: 'tinny'\. Did you mean 'tiny'\?"):
        datasets.build("synthetic_clicks", "tinny")
