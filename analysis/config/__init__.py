"""One YAML file for a whole analysis, validated once and passed on as typed, frozen objects."""

from oddjet.analysis.config.analysis import (
    AnalysisConfig,
    load_config,
    make_config,
    read_settings,
)
from oddjet.analysis.config.blocks import (
    DecorrelationConfig,
    DetectorConfig,
    ImageConfig,
    InjectionConfig,
    PseudoData,
)
from oddjet.analysis.config.hunt import HuntConfig

__all__ = [
    "AnalysisConfig",
    "DecorrelationConfig",
    "DetectorConfig",
    "HuntConfig",
    "ImageConfig",
    "InjectionConfig",
    "PseudoData",
    "load_config",
    "make_config",
    "read_settings",
]
