"""The things that tests share: isolation, real kernels, terminals, JupyterLab and the upstream package."""
