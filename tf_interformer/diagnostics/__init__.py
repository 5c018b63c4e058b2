"""What a trained model has learned, and what it costs: attention maps, information abundance, multiplications."""

from tf_interformer.diagnostics.abundance_callback import InformationAbundance
from tf_interformer.diagnostics.abundance_plot import plot_information_abundance
from tf_interformer.diagnostics.attention_maps import attention_maps, token_names
from tf_interformer.diagnostics.attention_plot import plot_attention
from tf_interformer.diagnostics.information_abundance import abundance_of, abundance_table, information_abundance
from tf_interformer.diagnostics.multiplications import multiplications
from tf_interformer.diagnostics.spectrum_plot import plot_spectra

__all__ = [
    "InformationAbundance",
    "abundance_of",
    "abundance_table",
    "attention_maps",
    "information_abundance",
    "multiplications",
    "plot_attention",
    "plot_information_abundance",
    "plot_spectra",
    "token_names",
]
