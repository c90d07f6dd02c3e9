"""Scaling laws, a ladder of small models, and what money buys (chapter 2)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "budget": ["GPU_MFU", "Plan", "count", "dollars", "hours", "mfu", "plan"],
    "dial": ["Choice", "choose"],
    "fits": ["Bootstrap", "Fit", "Runs", "bootstrap", "fit", "published_fit",
             "published_runs"],
    "forecasting": ["Forecast", "forecast", "held_back", "hindcast"],
    "hyperparameters": ["Rule", "fit_rule"],
    "isoflop": ["envelope", "growth", "isoflop_parabola"],
    "laws": ["PUBLISHED", "KaplanLaw", "ScalingLaw", "repeated"],
    "rungs": ["Ladder", "Rung"],
})
