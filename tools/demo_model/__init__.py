"""The small text-to-image model the project ships: its data, training, distillation and evaluation."""
