"""Symmetric contractions compiled for a CPU: polynomials by Horner's rule, channels as vector lanes, elements one after another."""
