"""What chapters display: cards, source, figures, charts that answer."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "diagram": ["draw_model", "trace"],
    "interactive": ["shape_chart", "show_chart"],
    "interactive_bill": ["bill_chart"],
    "interactive_budget": ["dollars_chart"],
    "interactive_sampling": ["sampling_chart", "sampling_grid"],
    "live": ["show_attention", "show_cache", "show_merges"],
    "page": ["card", "colored_tokens", "load_result", "print_text",
             "results", "show_script", "show_source", "show_table",
             "styled"],
    "pictures": ["draw_cache", "draw_memory", "draw_rows", "draw_stream"],
    "texts": ["show_surprisal", "side_by_side", "visible"],
    "tricks": ["Axes", "Trick", "show_tricks"],
})
