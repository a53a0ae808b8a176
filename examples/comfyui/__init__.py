"""stylecine in ComfyUI: this folder belongs into its custom_nodes (README.md)."""

from .node import CinemagraphNode

NODE_CLASS_MAPPINGS = {"StylecineCinemagraph": CinemagraphNode}
NODE_DISPLAY_NAME_MAPPINGS = {"StylecineCinemagraph": "Cinemagraph"}

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
