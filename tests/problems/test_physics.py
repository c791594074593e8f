import copy
import pickle

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from sklearn_proxyopt.problems.physics import (
    BilliardBreak,
    BilliardShot,
    Burgers,
    KuramotoSivashinsky,
    NavierStokes,
    WavePacket,
)
from sklearn_proxyopt.problems.physics._balls import roll

MODELS = {
    "wave packet": WavePacket(noise=0.0),
    "billiard shot": BilliardShot(),
    "break, angle": BilliardBreak(n_frames=8),
    "break, angle and speed": BilliardBreak("angle_speed", n_frames=8),
    "break, 4d": BilliardBreak("4d", n_frames=8),
    "break, 6d": BilliardBreak("6d", n_frames=8),
    "Kuramoto-Sivashinsky": KuramotoSivashinsky(n_points=32, n_steps=20),
    "Burgers": Burgers(),
    "Navier-Stokes": NavierStokes(n_cells=12, n_steps=4, viscosity=0.3),
}
each_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)


def run(model, unknowns, conditions=None):
    conditions = None if conditions is None else torch.as_tensor(conditions)
    return model(torch.as_tensor(unknowns), conditions).numpy()


def parts(model, n_problems, seed=0):
    X, unknowns = model.sample(n_problems, random_state=seed)
    return X[:, : model.n_observed], X[:, model.n_observed :], unknowns


@each_model
def test_true_unknowns_reproduce_the_measurement(model):
    observed, conditions, unknowns = parts(model, 6)
    predicted = run(model, unknowns, conditions).reshape(6, -1)
    # What the lower half of the fluid did is not known.
    tolerance = 1.0 if isinstance(model, NavierStokes) else 1e-9
    np.testing.assert_allclose(predicted, observed, atol=tolerance)


@each_model
def test_each_problem_of_a_batch_is_solved_by_itself(model):
    _, conditions, unknowns = parts(model, 5)
    together = run(model, unknowns, conditions)
    alone = [run(model, unknowns[[i]], conditions[[i]]) for i in range(5)]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-9)


@each_model
def test_the_gradient_is_the_limit_of_differences(model):
    _, conditions, unknowns = parts(model, 3, seed=1)
    unknowns = unknowns + 0.01
    x = torch.tensor(unknowns, requires_grad=True)
    weights = torch.tensor(np.random.default_rng(0).standard_normal(model.observation_shape))
    value = (model(x, torch.tensor(conditions)) * weights).sum()
    (gradient,) = torch.autograd.grad(value, x)
    step = 1e-7
    for j in range(model.n_unknowns):
        ahead, behind = unknowns.copy(), unknowns.copy()
        ahead[:, j] += step
        behind[:, j] -= step
        change = run(model, ahead, conditions) - run(model, behind, conditions)
        slope = (change * weights.numpy()).reshape(3, -1).sum(axis=1) / (2 * step)
        np.testing.assert_allclose(gradient[:, j].numpy(), slope, rtol=1e-4, atol=1e-4)


@each_model
def test_the_same_seed_draws_the_same_problems(model):
    for first, second in zip(model.sample(3, random_state=4), model.sample(3, 4), strict=True):
        np.testing.assert_array_equal(first, second)


@each_model
def test_copies_and_pickles_simulate_alike(model):
    _, conditions, unknowns = parts(model, 2)
    expected = run(model, unknowns, conditions)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(run(twin, unknowns, conditions), expected)


@each_model
def test_unknowns_of_another_width_are_refused(model):
    with pytest.raises(ValueError, match=r"unknowns must have shape \(n, "):
        model(torch.zeros(2, model.n_unknowns + 1))


def test_conditions_of_another_width_are_refused():
    with pytest.raises(ValueError, match=r"conditions must have shape \(2, 1\); got \(2, 3\)"):
        BilliardShot()(torch.zeros(2, 2), torch.zeros(2, 3))


def test_the_wave_packet_is_that_of_the_formula():
    t = np.arange(1, 257)
    expected = 2 * np.sin(t - 100.3) * np.exp(-((t - 100.3) ** 2) / 15.0**2)
    predicted = run(WavePacket(amplitude=2.0, width=15.0), np.array([[100.3]]))
    np.testing.assert_allclose(predicted[0], expected, atol=1e-12)


def test_the_measured_wave_packet_has_the_noise_asked_for():
    model = WavePacket(noise=0.3)
    observed, _, unknowns = parts(model, 200)
    assert np.std(observed - run(model, unknowns)) == pytest.approx(0.3, rel=0.02)


def test_the_closed_form_shot_brings_the_ball_to_the_target():
    shot = BilliardShot(elasticity=0.6, friction=0.9)
    observed, conditions, unknowns = parts(shot, 500)
    np.testing.assert_allclose(run(shot, unknowns, conditions), observed, atol=1e-12)


def test_a_shot_that_misses_leaves_the_ball_where_it_is_with_no_gradient():
    velocity = torch.tensor([[1.0, 2.0], [0.1, 0.0], [-1.0, 0.0]], requires_grad=True)
    rest = BilliardShot()(velocity.double(), torch.tensor([[0.1]] * 3, dtype=torch.float64))
    np.testing.assert_array_equal(rest.detach().numpy(), [[0.5, 0.1]] * 3)
    (gradient,) = torch.autograd.grad(rest.sum(), velocity)
    assert not gradient.any()


def break_motion(elasticity, friction=0.5):
    rng = np.random.default_rng(3)
    grid = np.array([[x, y] for x in (-0.6, 0.0, 0.6) for y in (-0.4, 0.4)])
    positions = torch.tensor(grid + rng.uniform(-0.1, 0.1, (12, 6, 2)))
    velocities = torch.tensor(rng.standard_normal((12, 6, 2)))
    full = torch.full((12,), elasticity, dtype=torch.float64)
    motion = roll(
        positions,
        velocities,
        radius=0.12,
        elasticity=full,
        friction=torch.full_like(full, friction),
        max_collisions=30,
    )
    return motion, friction


@pytest.mark.parametrize("elasticity", [1.0, 0.5])
def test_collisions_keep_momentum_and_lose_energy_by_elasticity_only(elasticity):
    motion, friction = break_motion(elasticity)
    n_collisions = 0
    for k in range(1, len(motion.times)):
        began = torch.isfinite(motion.times[k])
        wait = torch.where(began, motion.times[k] - motion.times[k - 1], 0.0)
        before = motion.velocities[k - 1] * torch.exp(-friction * wait)[:, None, None]
        after = motion.velocities[k]
        torch.testing.assert_close(after.sum(dim=1), before.sum(dim=1))
        lost = (before**2 - after**2).sum(dim=(1, 2))[began]
        n_collisions += int(began.sum())
        assert (lost > (1e-9 if elasticity < 1 else -1e-9)).all()
        assert elasticity < 1 or lost.abs().max() < 1e-9
    assert n_collisions > 10


def test_balls_follow_a_brute_force_integration_and_never_overlap():
    motion, friction = break_motion(0.7)
    x, v = motion.positions[0][0].numpy().copy(), motion.velocities[0][0].numpy().copy()
    h, n_steps = 1e-4, 12000
    for _ in range(n_steps):
        x += v * h
        v *= np.exp(-friction * h)
        for i in range(6):
            for j in range(i + 1, 6):
                q = x[j] - x[i]
                closing = (v[i] - v[j]) @ q
                if q @ q < 0.24**2 and closing > 0:
                    impulse = 0.85 * closing / (q @ q) * q
                    v[i] -= impulse
                    v[j] += impulse
    frames = motion.frames(torch.linspace(0, n_steps * h, 50, dtype=torch.float64))
    np.testing.assert_allclose(frames[0, -1].numpy(), x, atol=5e-3)
    distances = torch.cdist(frames, frames) + torch.eye(6)
    assert distances.min() > 0.24 - 1e-9


def test_a_ball_without_collisions_rolls_as_far_as_its_speed_over_the_friction():
    shot = BilliardBreak("angle_speed", n_frames=2)
    frames = run(shot, np.array([[np.pi / 6, 1.0]]))
    far = roll(
        torch.zeros(1, 2, 2, dtype=torch.float64) + torch.tensor([[[0.0], [9.0]]]),
        torch.tensor([[[1.0, -2.0], [0.0, 0.0]]], dtype=torch.float64),
        radius=0.1,
        elasticity=torch.ones(1),
        friction=torch.full((1,), 0.5),
        max_collisions=3,
    )
    np.testing.assert_allclose(far.at_rest()[0, 0], [2.0, -4.0])
    assert frames.shape == (1, 2, 11, 2)


def kuramoto_by_scipy(model, alpha, beta, start, time):
    n, length = model.n_points, model.length
    k = 2 * np.pi * np.fft.rfftfreq(n, length / n)
    force = alpha * np.cos(2 * np.pi * np.arange(n) / n)

    def rate(_, u):
        spectrum, square = np.fft.rfft(u), np.fft.rfft(u**2)
        square[-1] = 0.0
        linear = np.fft.irfft((k**2 - k**4) * spectrum, n)
        return linear + force - beta * np.fft.irfft(0.5j * k * square, n)

    return solve_ivp(rate, (0, time), start, method="BDF", rtol=1e-9, atol=1e-9).y[:, -1]


def test_kuramoto_sivashinsky_agrees_with_a_stiff_solver_of_scipy():
    model = KuramotoSivashinsky(n_points=32, time_step=0.005, n_steps=1000, frame_every=1000)
    _, conditions, _ = parts(KuramotoSivashinsky(n_points=32), 1)
    path = run(model, np.array([[0.7, 1.2]]), conditions)
    expected = kuramoto_by_scipy(model, 0.7, 1.2, conditions[0], time=5.0)
    np.testing.assert_allclose(path[0, -1], expected, atol=1e-3)


def test_kuramoto_sivashinsky_converges_with_the_second_order_of_its_step():
    _, conditions, unknowns = parts(KuramotoSivashinsky(), 4)

    def end(n_steps):
        model = KuramotoSivashinsky(time_step=4.0 / n_steps, n_steps=n_steps, frame_every=n_steps)
        return run(model, unknowns, conditions)[:, -1]

    exact = end(2048)
    errors = [np.abs(end(n) - exact).max() for n in (64, 128, 256)]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert (orders > 1.75).all()
    assert (orders < 2.4).all()


def test_without_advection_each_wave_grows_at_its_own_rate():
    model = KuramotoSivashinsky(n_steps=40, frame_every=40)
    place = np.arange(64) / 64 * 22.0
    k = 2 * np.pi * 3 / 22.0
    start = np.cos(k * place)[None]
    path = run(model, np.array([[0.0, 0.0]]), start)
    expected = np.exp((k**2 - k**4) * 10.0) * start
    np.testing.assert_allclose(path[0, -1], expected[0], rtol=1e-9, atol=1e-12)


def test_forcing_alone_drives_its_wave_as_the_linear_equation_says():
    model = KuramotoSivashinsky(n_steps=40, frame_every=40)
    path = run(model, np.array([[0.8, 0.0]]), np.zeros((1, 64)))
    k = 2 * np.pi / 22.0
    rate = k**2 - k**4
    height = 0.8 * (np.exp(rate * 10.0) - 1) / rate
    np.testing.assert_allclose(path[0, -1], height * np.cos(k * np.arange(64) * 22 / 64), atol=1e-9)


def cole_hopf(place, time, viscosity):
    """Return the periodic solution of Burgers' equation for theta = 2 + cos(x) exp(-nu t)."""
    decay = np.exp(-viscosity * time)
    return 2 * viscosity * decay * np.sin(place) / (2.0 + decay * np.cos(place))


def test_burgers_approaches_the_solution_of_cole_and_hopf():
    errors = []
    for n in (32, 64, 128):
        place = 2 * np.pi * np.arange(n) / n
        model = Burgers(n, length=2 * np.pi, time_step=4.0 / n, n_steps=n // 4, n_substeps=n // 4)
        path = run(model, np.array([[0.3]]), cole_hopf(place, 0.0, 0.3)[None])
        errors.append(np.abs(path[0, -1] - cole_hopf(place, 1.0, 0.3)).max())
    assert errors[-1] < 0.01
    assert (np.log2(np.array(errors[:-1]) / errors[1:]) > 0.8).all()


def test_burgers_carries_a_uniform_flow_unchanged():
    path = run(Burgers(), np.array([[4.0]]), np.full((1, 32), 3.3))
    np.testing.assert_allclose(path, 3.3)


@pytest.fixture(scope="module")
def flow():
    model = NavierStokes(n_cells=24, n_steps=10)
    noise = torch.tensor(np.random.default_rng(0).standard_normal((3, 2, 25, 25)))
    start = model.evolve(noise[:, 0, :, :-1], noise[:, 1, :-1], n_steps=0)
    return model, start, model.evolve(*start)


def test_the_fluid_has_no_divergence(flow):
    model, start, end = flow
    for u, v in (start, end):
        assert model.divergence(u, v).abs().max() < 1e-10


def test_nothing_flows_through_walls_and_obstacles(flow):
    model, _, end = flow
    for velocity, solid in zip(end, model.solid_faces(), strict=True):
        assert solid.sum() > 2 * 24
        assert not velocity[:, torch.tensor(solid)].any()


def test_the_fluid_gains_no_energy(flow):
    _, start, end = flow
    before, after = (
        sum((velocity**2).sum(dim=(1, 2)) for velocity in state) for state in (start, end)
    )
    assert (after <= before).all()


def test_making_a_flow_free_of_divergence_twice_changes_nothing(flow):
    model, start, _ = flow
    for first, second in zip(start, model.evolve(*start, n_steps=0), strict=True):
        torch.testing.assert_close(first, second)


def test_the_pressure_changes_a_flow_around_obstacles_as_little_as_it_can():
    model = NavierStokes(n_cells=10, obstacles=((45.0, 55.0, 18.0),))
    solid_u, solid_v = model.solid_faces()
    rng = np.random.default_rng(0)
    u, v = rng.standard_normal(solid_u.shape), rng.standard_normal(solid_v.shape)
    open_faces = ~np.concatenate([solid_u.ravel(), solid_v.ravel()])
    each = torch.eye(open_faces.size, dtype=torch.float64)[open_faces]
    unit_u, unit_v = each[:, : u.size].reshape(-1, 11, 10), each[:, u.size :].reshape(-1, 10, 11)
    divergence = model.divergence(unit_u, unit_v).flatten(1).numpy().T
    flow = np.concatenate([u.ravel(), v.ravel()])[open_faces]
    # The nearest flow without divergence, by least squares.
    removed = np.linalg.lstsq(divergence, divergence @ flow, rcond=1e-10)[0]
    end = model.evolve(torch.tensor(u)[None], torch.tensor(v)[None], n_steps=0)
    found = np.concatenate([part.numpy().ravel() for part in end])
    np.testing.assert_allclose(found[open_faces], flow - removed, atol=1e-10)
    assert not found[~open_faces].any()


def test_the_push_is_drawn_from_the_box_asked_for():
    model = NavierStokes(8, n_steps=1, bounds=[[20.0, 30.0], [0.0, 1.0], [4.0, 9.0]])
    _, unknowns = model.sample(50, random_state=0)
    assert (unknowns >= model.bounds[:, 0]).all()
    assert (unknowns <= model.bounds[:, 1]).all()
    np.testing.assert_allclose(model.start, [25.0, 0.5, 6.5])


@pytest.mark.parametrize("viscosity", [0.0, 2.0])
def test_a_steady_vortex_decays_by_viscosity_alone_as_the_grid_gets_finer(viscosity):
    errors = []
    for n in (16, 32):
        model = NavierStokes(
            n, n_steps=n // 4, time_step=32.0 / n, viscosity=viscosity, obstacles=()
        )
        edges = np.arange(n + 1) / n * np.pi
        centers = (edges[1:] + edges[:-1]) / 2
        u = torch.tensor(np.sin(edges)[:, None] * np.cos(centers))[None]
        v = torch.tensor(-np.cos(centers)[:, None] * np.sin(edges))[None]
        end, _ = model.evolve(u, v)
        expected = np.exp(-2 * viscosity * (np.pi / 100.0) ** 2 * 8.0) * u
        errors.append(float((end - expected).abs().max()))
    assert errors[1] < 0.02
    assert errors[0] / errors[1] > 1.6


def test_an_odd_grid_has_no_upper_half():
    with pytest.raises(ValueError, match="n_cells must be even; got 9"):
        NavierStokes(9)
