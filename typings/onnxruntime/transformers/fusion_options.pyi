class FusionOptions:
    enable_attention: bool
    enable_bias_gelu: bool
    enable_bias_skip_layer_norm: bool
    enable_embed_layer_norm: bool
    enable_gelu: bool
    enable_gelu_approximation: bool
    enable_layer_norm: bool
    enable_rotary_embeddings: bool
    enable_skip_layer_norm: bool
    use_multi_head_attention: bool
    def __init__(self, model_type: str) -> None: ...
