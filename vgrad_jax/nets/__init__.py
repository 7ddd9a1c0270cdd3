"""Networks: descriptions, parameters, activations, and initialisers with their laws."""

from vgrad_jax.nets.activations import ACTIVATIONS as ACTIVATIONS
from vgrad_jax.nets.activations import Activation as Activation
from vgrad_jax.nets.activations import activation_function as activation_function
from vgrad_jax.nets.initializers import INITIALIZERS as INITIALIZERS
from vgrad_jax.nets.initializers import Initializer as Initializer
from vgrad_jax.nets.initializers import initializer_function as initializer_function
from vgrad_jax.nets.laws import Law as Law
from vgrad_jax.nets.laws import bias_law as bias_law
from vgrad_jax.nets.laws import kernel_law as kernel_law
from vgrad_jax.nets.mlp import MLP as MLP
from vgrad_jax.nets.mlp import Layer as Layer
from vgrad_jax.nets.mlp import Params as Params
from vgrad_jax.nets.mlp import apply_mlp as apply_mlp
from vgrad_jax.nets.mlp import hidden_values as hidden_values
from vgrad_jax.nets.mlp import init_mlp as init_mlp
from vgrad_jax.nets.params import LearnedLayer as LearnedLayer
