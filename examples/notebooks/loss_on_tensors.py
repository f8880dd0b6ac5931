"""Loss and gradient of any genome on your own tensors: no detector, no data set."""

import torch

import detkds

student = [torch.randn(2, 64, 32, 32, requires_grad=True), torch.randn(2, 64, 16, 16, requires_grad=True)]
teacher = [torch.randn(2, 64, 32, 32), torch.randn(2, 64, 16, 16)]
boxes = [torch.tensor([[10.0, 20.0, 120.0, 200.0]]), torch.tensor([[5.0, 5.0, 60.0, 90.0], [100.0, 30.0, 240.0, 210.0]])]

value = detkds.loss("fgbg: catt > none > norm_HW | l2 x 5", student, teacher, boxes=boxes, image_size=(256, 256))
value.backward()
print(f"loss {value.item():.3f}, gradient per level {[round(level.grad.norm().item(), 4) for level in student]}")
