"""Fine-tune the DeepSeek-OCR family of models on your own documents."""

__version__ = "0.1.0"
