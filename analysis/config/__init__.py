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
from oddjet.analysis.config.training import ROLES, LearningConfig, TrainingConfig

__all__ = [
    "ROLES",
    "AnalysisConfig",
    "DecorrelationConfig",
    "DetectorConfig",
    "HuntConfig",
    "ImageConfig",
    "InjectionConfig",
    "LearningConfig",
    "PseudoData",
    "TrainingConfig",
    "load_config",
    "make_config",
    "read_settings",
]
