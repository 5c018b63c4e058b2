# Everything is set up by the targets themselves: `make demo` and `make test` run on a clean machine with Python 3.11.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
RUNS ?= runs
# Without TensorFlow's notices; its warnings are shown
export TF_CPP_MIN_LOG_LEVEL ?= 1
export TFDS_DATA_DIR ?= $(CURDIR)/data/tensorflow_datasets

ABLATIONS := $(foreach log,trivago globo,interformer-ablation-$(log) hiformer-ablation-$(log) dea-ablation-$(log))

.PHONY: help install demo demo-kuairand data-there flows kuairand-models kuairand-multitask compare compare-trivago compare-kuairand_raw compare-globo interformer-ablation simulated-ablation hiformer-ablation dea-ablation $(ABLATIONS) history-controls planted hiformer-cost test test-keras3 test-legacy lint mutants clean

help:
	@echo "make demo            train, judge and export InterFormer on simulated lists of items, then rank candidates with it"
	@echo "make demo-kuairand   the same on KuaiRand-Pure: TF_INTERFORMER_DATA=DIR make demo-kuairand"
	@echo "make kuairand-models every model of the package on KuaiRand-Pure, three seeds: mean and spread"
	@echo "make compare         every model there is on KuaiRand-Pure, three seeds, with a report"
	@echo "make compare-trivago, compare-kuairand_raw, compare-globo   models of features and of sequences, three seeds"
	@echo "make kuairand-multitask   three labels at once, with fixed and with learned weights"
	@echo "make flows           the information flows of InterFormer compared on the simulated log"
	@echo "make interformer-ablation, make simulated-ablation   the parts of InterFormer, on KuaiRand-Pure and simulated"
	@echo "make hiformer-ablation, make dea-ablation    the parts of Hiformer, of Dual Enhanced Attention, on KuaiRand-Pure"
	@echo "make interformer-ablation-trivago, hiformer-ablation-globo, ...   the same on trivago, on a tenth of Globo's readers"
	@echo "make history-controls   what the history brings to InterFormer on trivago, and whether its order matters"
	@echo "make planted         what Dual Enhanced Attention claims, on data in which it is planted"
	@echo "make hiformer-cost   what composite projections, low rank and pruning cost and save"
	@echo "make test            lint, types and the whole test suite under Keras 3 and under tf_keras"
	@echo "make mutants         which changes of the code the tests do not notice: make mutants MUTANTS='tf_interformer.metrics.roc_auc*'"

install: $(READY)

$(READY): setup.cfg pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) is needed; name another with make PYTHON=..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[pipelines,serving,onnx,report,dev]'
	@touch $@

demo: $(READY)
	rm -rf $(RUNS)/demo
	$(BIN)/python -m pipelines.train --config pipelines/configs/synthetic_requests.yaml --output $(RUNS)/demo
	$(BIN)/python -m serving.score $(RUNS)/demo/saved_model/1 $(RUNS)/demo/example_request.json
	$(BIN)/python -m serving.rank $(RUNS)/demo

demo-kuairand: $(READY) data-there
	rm -rf $(RUNS)/kuairand
	$(BIN)/python -m pipelines.train --config pipelines/configs/kuairand.yaml \
	    $(KUAIRAND) --output $(RUNS)/kuairand
	$(BIN)/python -m serving.score $(RUNS)/kuairand/saved_model/1 $(RUNS)/kuairand/example_request.json
	$(BIN)/python -m serving.rank $(RUNS)/kuairand

flows: $(READY)
	$(BIN)/python -m pipelines.ablate --config pipelines/configs/synthetic.yaml --output $(RUNS)/flows \
	    --set dataset.builder_config=fresh --vary model.backbone_config.information_flow=sole,sep,n2s,s2n,both \
	    --seeds 3 --jobs 2

KUAIRAND := --data-dir $(TF_INTERFORMER_DATA)/KuaiRand-Pure
MODELS := kuairand kuairand_hiformer kuairand_dual_enhanced_attention kuairand_interformer_hiformer \
    kuairand_interformer_dual_enhanced_attention

kuairand-models: $(READY) data-there
	$(BIN)/python -m pipelines.ablate --config $(MODELS:%=pipelines/configs/%.yaml) \
	    --output $(RUNS)/kuairand-models $(KUAIRAND) --seeds 3

interformer-ablation: $(READY) data-there
	$(BIN)/python -m pipelines.ablate --config pipelines/configs/kuairand_interformer.yaml \
	    --set model.backbone_config.interaction=dhen --set model.backbone_config.num_layers=2 \
	    --variants pipelines/configs/ablations/interformer.yaml \
	    --output $(RUNS)/interformer-ablation $(KUAIRAND) --seeds 2 --jobs 2

simulated-ablation: $(READY)
	$(BIN)/python -m pipelines.ablate --config pipelines/configs/synthetic.yaml --set dataset.builder_config=fresh \
	    --variants pipelines/configs/ablations/simulated.yaml --output $(RUNS)/simulated-ablation --seeds 3 --jobs 2

hiformer-ablation: $(READY) data-there
	$(BIN)/python -m pipelines.ablate --config pipelines/configs/kuairand_hiformer.yaml \
	    --variants pipelines/configs/ablations/hiformer.yaml --output $(RUNS)/hiformer-ablation $(KUAIRAND) --seeds 2

dea-ablation: $(READY) data-there
	$(BIN)/python -m pipelines.ablate --config pipelines/configs/kuairand_dual_enhanced_attention.yaml \
	    --variants pipelines/configs/ablations/dual_enhanced_attention.yaml --output $(RUNS)/dea-ablation $(KUAIRAND) \
	    --seeds 2

# The same on trivago and on a tenth of Globo's readers; `%` is the log.
LOG_trivago := --config pipelines/configs/trivago.yaml --data-dir $(TF_INTERFORMER_DATA)/trivago
LOG_globo := --config pipelines/configs/globo.yaml --data-dir $(TF_INTERFORMER_DATA)/globo \
    --set dataset.builder_config=tenth --set dataset.max_length=20 --set training.jit_compile=false
HIFORMER := --set model.backbone=hiformer \
    --set 'model.backbone_config={num_layers: 2, num_heads: 2, rank_k: 16, rank_v: 32, ffn_dim: 32}'
COMBOS_trivago := {fields: [1, 4, 6, 8, 9], codebook_size: 5000, codebook_dim: 8}
COMBOS_globo := {fields: [1, 3, 6, 7, 13, 14], codebook_size: 20000, codebook_dim: 8}

interformer-ablation-trivago interformer-ablation-globo: interformer-ablation-%: $(READY) data-there
	$(BIN)/python -m pipelines.ablate $(LOG_$*) --variants pipelines/configs/ablations/interformer.yaml \
	    --output $(RUNS)/interformer-ablation-$* --seeds 2 --jobs 2

hiformer-ablation-trivago hiformer-ablation-globo: hiformer-ablation-%: $(READY) data-there
	$(BIN)/python -m pipelines.ablate $(LOG_$*) $(HIFORMER) --variants pipelines/configs/ablations/hiformer.yaml \
	    --output $(RUNS)/hiformer-ablation-$* --seeds 2 --jobs 2

dea-ablation-trivago dea-ablation-globo: dea-ablation-%: $(READY) data-there
	$(BIN)/python -m pipelines.ablate $(LOG_$*) --set model.backbone=dual_enhanced_attention \
	    --set 'model.backbone_config={num_layers: 2, num_heads: 2, ffn_dim: 32, combo_config: $(COMBOS_$*)}' \
	    --variants pipelines/configs/ablations/dual_enhanced_attention.yaml \
	    --output $(RUNS)/dea-ablation-$* --seeds 2 --jobs 2

history-controls: $(READY) data-there
	$(BIN)/python -m pipelines.ablate $(LOG_trivago) --variants pipelines/configs/ablations/history.yaml \
	    --output $(RUNS)/history-controls --seeds 3 --jobs 2

compare: $(READY) data-there
	$(BIN)/python -m pipelines.compare --config pipelines/configs/compare/kuairand.yaml $(KUAIRAND) \
	    --output $(RUNS)/compare --seeds 3

FOLDER_trivago := trivago
FOLDER_kuairand_raw := KuaiRand-Pure
FOLDER_globo := globo

compare-trivago compare-kuairand_raw compare-globo: compare-%: $(READY) data-there
	$(BIN)/python -m pipelines.compare --config pipelines/configs/compare/$*.yaml --seeds 3 \
	    --data-dir $(TF_INTERFORMER_DATA)/$(FOLDER_$*) --output $(RUNS)/compare-$*

kuairand-multitask: $(READY) data-there
	$(BIN)/python -m pipelines.ablate --config pipelines/configs/kuairand_multitask.yaml \
	    --vary model.task_weighting=fixed,uncertainty --output $(RUNS)/kuairand-multitask $(KUAIRAND) --seeds 2

data-there:
	@test -n "$(TF_INTERFORMER_DATA)" || { echo "error: set TF_INTERFORMER_DATA to the folder that holds KuaiRand-Pure, trivago, globo" >&2; exit 2; }

planted: $(READY)
	$(BIN)/python -m benchmarks.planted --output $(RUNS)/planted.json

hiformer-cost: $(READY)
	@mkdir -p $(RUNS)
	$(BIN)/python -m benchmarks.hiformer_cost --output $(RUNS)/hiformer_cost.json

test: lint test-keras3 test-legacy

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy tf_interformer pipelines serving benchmarks
	$(BIN)/lint-imports setup.cfg

# In three runs each: TensorFlow keeps the graphs of every model, so that a process of all tests grows past ten gigabytes.
PROGRAM_TESTS := tests/pipelines tests/serving
MODEL_TESTS := tests/backbones tests/layers tests/tfrs
OTHER_TESTS := $(PROGRAM_TESTS:%=--ignore=%) $(MODEL_TESTS:%=--ignore=%)
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal

test-keras3: $(READY)
	TF_USE_LEGACY_KERAS=0 $(PYTEST) $(PROGRAM_TESTS)
	TF_USE_LEGACY_KERAS=0 $(PYTEST) $(MODEL_TESTS)
	TF_USE_LEGACY_KERAS=0 $(PYTEST) $(OTHER_TESTS)

test-legacy: $(READY)
	TF_USE_LEGACY_KERAS=1 $(PYTEST) $(PROGRAM_TESTS)
	TF_USE_LEGACY_KERAS=1 $(PYTEST) $(MODEL_TESTS)
	TF_USE_LEGACY_KERAS=1 $(PYTEST) $(OTHER_TESTS)

MUTANTS ?= tf_interformer.*

mutants: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'mutmut>=3.8,<4'
	TF_USE_LEGACY_KERAS=0 $(BIN)/python -m mutmut run '$(MUTANTS)'
	@$(BIN)/python -m mutmut results | grep -v 'not checked' || echo 'every change was noticed'

clean:
	rm -rf $(VENV) $(RUNS) data build mutants dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
