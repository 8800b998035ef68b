"""Slow reference implementations, to test `medxai.attribution` and other libraries against on any network.

Nothing is shared with the methods themselves: the network is traced to primitive operations
(`torch.fx.experimental.proxy_tensor.make_fx`), batch norms are merged into the convolutions before them, and each rule
is carried from operation to operation by hand; what perturbs an image is solved in closed form from the score of every
coalition of regions. Meant for float64 and for tests.
"""
