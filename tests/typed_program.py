"""A user's program. The type check of the package reads it strictly, and finds every public name with its type."""

import jax
import optax

import vgrad_jax as vg

arms = vg.presets.article(epochs=1)
results = vg.sweep({"a": arms["tanh_he"], "f": vg.Arm(lambda key: jax.random.normal(key))}, num_seeds=2)
print(results["converged"].mean())
experiment = vg.Experiment(mlp=vg.MLP(hidden=(3,)), data=vg.Data("moons"), optimizer=vg.Optimizer("adam"))
history: vg.History = vg.train(experiment, vg.run_key(0, 1))
optimizer = vg.record(every=10, around=optax.sgd(0.1))
record: vg.Record = vg.get_record(optimizer.init({"w": jax.numpy.ones(3)}))
verdict: vg.Diagnosis = vg.diagnose(record)
status: str = verdict.status
needed: int = vg.seeds_needed(0.1)
phase: str = vg.mean_field("tanh", weight_variance=1.5, bias_variance=0.05).phase
print(phase, vg.theory.mean_field, vg.data.summary_of(vg.Data("wine")).classes)
print(vg.lanes(lambda x: x + 1)(jax.numpy.ones(3)))
try:
    vg.Data("nothing")
except vg.InputError as error:
    print(error)
