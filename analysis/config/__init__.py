"""One YAML file for a whole analysis, validated once and passed on as typed, frozen objects."""

from oddjet.analysis.config.analysis import (
    CONFIG_FILE,
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
from oddjet.analysis.config.peaks import PeaksConfig
from oddjet.analysis.config.training import ROLES, LearningConfig, TrainingConfig
from oddjet.analysis.config.unblinding import UnblindingConfig

__all__ = [
    "CONFIG_FILE",
    "ROLES",
    "AnalysisConfig",
    "DecorrelationConfig",
    "DetectorConfig",
    "HuntConfig",
    "ImageConfig",
    "InjectionConfig",
    "LearningConfig",
    "PeaksConfig",
    "PseudoData",
    "TrainingConfig",
    "UnblindingConfig",
    "load_config",
    "make_config",
    "read_settings",
]
