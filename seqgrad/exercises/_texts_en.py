"""The exercises in English: title, task, praise (``right``) and a hint for each way of being wrong."""

from __future__ import annotations

TEXTS = {
    "any.syntax": "Python cannot read the file: {error}, line {line}.",
    "any.not_text": "The file is no text in UTF-8. The answer has to be a Python file.",
    "any.load": "The file stops before the judge can call anything, at line {line}: {error}",
    "any.missing": "The file has to define a function called {function}; the functions in it: {found}.",
    "any.exception": "The function stopped with an error, at line {line} of your file: {error}",
    "any.timeout": "No answer within {seconds} seconds. Is there a loop that never ends? (--seconds gives it more "
    "time.)",
    "any.died": "The process of the answer ended ({how}) before the function returned. It must not end Python itself.",
    "any.wrong_type": "The function has to return {expected}; it returned {got}.",
    "any.elsewhere": "The function built something new. The network keeps the layer it was given: change its "
    "parameters in place, as the functions of seqgrad.init do.",
    "any.untouched": "No parameter was changed. Functions that change one in place end in an underscore.",
    "exercise-1.title": "Plot dL/dh_t",
    "exercise-1.task": "Write plot_gradient(model, x, target). model.rnn is a recurrent layer of seqgrad, "
    "model.head reads its last state, model(x) gives the logits; x is [T, N, 3] and target [N]. Take the "
    "cross-entropy, run one backward, draw the norm of dL/dh_t over the whole batch against t = 0 ... T-1 on a "
    "logarithmic y axis, and return the Axes.",
    "exercise-1.right": "Right: the whole gradient at every timestep, on a scale on which a fixed loss per step is "
    "a straight line.",
    "exercise-1.direct": "These are the direct gradients alone: retain_grad on the output shows what the loss does "
    "with each state itself, which is 0 at every step but the last. What flows back through time stays inside "
    'the layer. Run forward and backward inside `with seqgrad.record(model) as rec:` and draw rec["rnn"].l0.',
    "exercise-1.mirrored": "The curve is mirrored: {got_first} stands at the first step, where {first} belongs. "
    "Draw against t, first step on the left; the gradient is largest at the last step, where the loss enters.",
    "exercise-1.carry": "That is grad_carry, only what arrives from later steps: at the last step it is 0. The "
    "total dL/dh_t is grad_h.",
    "exercise-1.summed": "The norms of the samples were added up. The norm of the whole batch is the root of the "
    'sum of their squares: series.norm("grad_h").',
    "exercise-1.averaged": "That is the mean over the samples. The norm of the whole batch is the root of the sum "
    'of their squares: series.norm("grad_h").',
    "exercise-1.one_sample": 'That is the first sample alone; the loss averages over all. Take series.norm("grad_h").',
    "exercise-1.relative": "The shape is right, but the values were divided by the last one. The norms themselves "
    "are asked for.",
    "exercise-1.log_of_norm": "The logarithm belongs to the axis, not to the values: draw the norms and call "
    'ax.set_yscale("log").',
    "exercise-1.linear_axis": "The values are right, but the y axis is {scale}. On it everything that vanishes "
    'looks like the same 0: use ax.semilogy or ax.set_yscale("log").',
    "exercise-1.no_line": "The Axes hold no line with a point for every timestep.",
    "exercise-1.length": "The line has {got} points; the sequence has {expected} timesteps.",
    "exercise-1.other": "The line should run from {first} at t = 0 to {last} at the last step; it ends at {got}.",
    "exercise-2.title": "Find the horizon",
    "exercise-2.task": "Write horizon(rnn, x, eps). rnn is a recurrent layer of seqgrad and x its input [T, N, 3]. "
    "Call backward on the sum of the last state and return how many steps back from the last one the norm of "
    "dL/dh_t (over the batch) stays, without a gap, at least eps times what it is at the last step: 0 if already "
    "the next step is below, T-1 if none is.",
    "exercise-2.right": "Right: that is as far back as this network can learn anything from.",
    "exercise-2.index": "{got} is a timestep counted from the start of the sequence. The horizon is counted back "
    "from the last step, where the loss enters: here {expected} of {steps} steps.",
    "exercise-2.off_by_one": "Off by one: {got} instead of {expected}. Steps back are counted, not states: the "
    "last step itself is lag 0.",
    "exercise-2.absolute": "The norms were compared with eps itself. eps is relative: the bar is eps times the "
    "norm at the last step, which here is {last}.",
    "exercise-2.gap": "{got} steps back the norm is above the bar again, but it was below it in between. What "
    "counts is how long it stays there without a gap: {expected} steps.",
    "exercise-2.other": "For one of the networks the answer was {got}; it should be {expected} (T = {steps}, eps = "
    "{eps}).",
    "exercise-3.title": "Choose an initialisation",
    "exercise-3.task": "Write initialise(rnn). rnn is a fresh seqgrad.RNN with tanh. Change its parameters in "
    "place so that of the gradient of a loss on the last state a good part arrives 99 steps earlier: the norm "
    "there between 0.05 and 20 times the norm at the last step. The input is noise at the first step and silence "
    "after it.",
    "exercise-3.right": "Right: {ratio} of the gradient arrives {steps} steps back. torch's default leaves about "
    "1e-24.",
    "exercise-3.vanishes": "The gradient vanishes: {ratio} of it arrives {steps} steps back. The singular values "
    "of W_hh lie between {smallest} and {largest}; what does every step multiply by if all of them are 1?",
    "exercise-3.biases": "W_hh is orthogonal, and still only {ratio} arrives {steps} steps back: the default "
    "biases push tanh off its steepest point, at every step. They have to be 0 as well.",
    "exercise-3.explodes": "The gradient explodes: it is {ratio} times as large {steps} steps back. The largest "
    "singular value of W_hh is {largest}; to the power of {steps} even a little above 1 is much.",
    "exercise-3.dead": "No gradient arrives at all: W_hh has been emptied, or holds something that is not a number.",
    "exercise-3.deaf": "The gradient travels, but the layer does not hear its input any more: the last states of "
    "different samples differ by {spread}. Leave W_ih its weights.",
    "exercise-4.title": "Fix a diverging run",
    "exercise-4.task": "The training below ends in NaN. Mend train(model, batches) so that it takes all 150 "
    "batches, ends with finite weights, brings the loss on fresh data down to a fifth, and returns the list of "
    "its 150 losses. model(x) gives logits for two classes.",
    "exercise-4.right": "Right: the loss on fresh data went from {first} to {last}.",
    "exercise-4.unclipped": "It still ends in NaN. At update {loud_at} the optimizer was handed a gradient of norm "
    "{loud}: one such step throws the weights to where nothing is finite. Limit the norm after backward and "
    "before optimizer.step().",
    "exercise-4.nan": "It still ends in weights or losses that are not finite, although no gradient was large. "
    "Look at the learning rate.",
    "exercise-4.stopped_early": "Only {taken} of {steps} batches were taken. A run that stops before it breaks is "
    "not mended.",
    "exercise-4.no_update": "The weights are what they were: nothing was learnt. Leaving out each bad step leaves "
    "out all of them here; make the steps smaller instead.",
    "exercise-4.skipped": "Only {updates} of {steps} updates were made, and the loss went from {first} to {last} "
    "({goal} is the goal). Large gradients point somewhere, too: shorten them instead of throwing them away.",
    "exercise-4.too_slow": "Nothing diverges any more, but the loss only went from {first} to {last} ({goal} is "
    "the goal): the steps are too small now.",
    "exercise-5.title": "Place clipping rightly",
    "exercise-5.task": "Write training_step(model, optimizer, loss_fn, x, y, max_norm): one training step on "
    "loss_fn(model(x), y), with the gradient of all parameters together clipped to L2 norm max_norm. Gradients "
    "of the step before are still in the parameters when it begins.",
    "exercise-5.right": "Right: the optimizer was handed {got} where the gradient had {norm}, in the same direction.",
    "exercise-5.unclipped": "The optimizer was handed the whole gradient, norm {got}, limit {max_norm}. Clipping "
    "works on what backward has left in .grad: before backward there is nothing to clip, or something old.",
    "exercise-5.after_step": "The gradient is clipped, but after the step: the weights have already moved by all "
    "of its {norm}. Clip between backward and optimizer.step().",
    "exercise-5.accumulates": "The gradient of the step before was added to this one: backward adds to .grad. Call "
    "optimizer.zero_grad() before it.",
    "exercise-5.zeroed": "The optimizer was handed zeros: zero_grad stands between backward and step.",
    "exercise-5.by_value": "Every element was clamped on its own, which bends the direction. By norm, all of them "
    "shrink by one factor: grad_norm_, not grad_value_.",
    "exercise-5.each": "Each parameter was clipped by itself, which changes their proportions, and all together "
    "they still have norm {got}. Hand all parameters to one call.",
    "exercise-5.length": "The direction is right, the length is not: {got} where {max_norm} is the limit and the "
    "gradient had {norm}. A gradient below the limit stays as it is.",
    "exercise-5.updates": "optimizer.step() was called {updates} times; one training step is one call.",
    "exercise-5.other": "What the optimizer was handed (norm {got}) is neither the gradient ({norm}) nor the "
    "clipped one.",
    "exercise-6.title": "Truncated BPTT, complete",
    "exercise-6.task": "Write train_on(model, optimizer, loss_fn, x, y, size). model(x_chunk, state) gives the "
    "outputs and the LSTM's state, a pair (h, c); state None is the beginning. Go through x [T, N, 4] and y [T, "
    "N, 1] in chunks of size steps, the last may be shorter. Each chunk makes one update from its own loss; the "
    "state is handed on, the gradient is not.",
    "exercise-6.right": "Right: {chunks} chunks, {chunks} updates, one state that runs through all of them.",
    "exercise-6.no_detach": "The state still hangs on the graph of the chunk before, so backward runs into the "
    "past (and into a graph that is freed). Cut both parts of the pair: seqgrad.detach(state).",
    "exercise-6.half_detached": "Half of the state is cut, {tied} is not: an LSTM's state is a pair (h, c). "
    "seqgrad.detach(state) does both.",
    "exercise-6.forgets_state": "Every chunk begins with an empty state, so nothing is remembered from one to the "
    "next. Hand the state on, detached.",
    "exercise-6.no_step": "The weights never move: no optimizer.step() in {chunks} chunks. The well-known sketch "
    "of this loop leaves it out.",
    "exercise-6.steps": "{got} updates for {chunks} chunks: each chunk makes one.",
    "exercise-6.accumulates": "Chunk {chunk} was handed the gradient of the one before besides its own: call "
    "optimizer.zero_grad() in every chunk.",
    "exercise-6.zeroed": "In chunk {chunk} the optimizer was handed zeros: zero_grad belongs before backward.",
    "exercise-6.chunks": "The model was called with chunks of {got} steps; {expected} were expected, the rest at "
    "the end included.",
    "exercise-6.other": "In chunk {chunk} the optimizer was handed another gradient than that of the chunk's loss "
    "on its own part of y.",
    "exercise-7.title": "Give an LSTM a memory",
    "exercise-7.task": "Write remember(lstm, steps). lstm is a fresh seqgrad.LSTM. Change its parameters in place "
    "so that dL/dc of a loss on the last state arrives at the first of 100 steps with at least 0.05 and at most "
    "1000 times its norm at the last, and so that its gates can still learn to close.",
    "exercise-7.right": "Right: {ratio} of dL/dc arrives {steps} steps back. torch's default leaves about 1e-19.",
    "exercise-7.forgets": "{ratio} of dL/dc arrives {steps} steps back. The forget gate stands near {gate} and "
    "multiplies by that at every step; its bias decides.",
    "exercise-7.too_short": "Better than the default, but too short: {ratio} of dL/dc arrives {steps} steps back. "
    "The forget gate stands near {gate}, and {gate} to the power of {steps} is little; which gate remembers for "
    "100 steps?",
    "exercise-7.forgets_more": "The forget gate stands near {gate}: it forgets more than before. Its bias has to "
    "be positive.",
    "exercise-7.wrong_gate": "Another gate was opened (input {i}, output {o}); the forget gate still stands near "
    "{f}. The rows are ordered i, f, g, o, each of them hidden_size high.",
    "exercise-7.stuck": "It remembers, but the forget gates stand at 1 to four digits: their slope f(1-f) is "
    "almost 0, so the network cannot learn to forget. A smaller bias does; f = 0.99 remembers for 100 steps.",
    "exercise-7.explodes": "dL/dc grows {ratio}-fold over {steps} steps: besides the open gate the weights of the "
    "other paths are too large.",
    "exercise-7.dead": "Nothing arrives, or what arrives is not a number: the gates let nothing in or out.",
    "exercise-8.title": "Where was the NaN born?",
    "exercise-8.task": "Write first_nan(model, loss_fn, x). model.rnn is a recurrent layer of seqgrad, model(x) "
    "gives all its states [T, N, 8], loss_fn(states) the loss. Run one backward and return the timestep t at "
    "which, in the order of backpropagation, the first NaN of dL/dh_t appeared; None if there is none.",
    "exercise-8.right": "Right: backpropagation starts at the last step, so the culprit is the last step that is NaN.",
    "exercise-8.earliest": "At t = 0 the NaN has only arrived: from where it was born it spread to every earlier "
    "step. Backpropagation runs from the last step to the first; which step meets the NaN first?",
    "exercise-8.off_by_one": "Very close: t = {got} is the neighbour of the step where it was born. t counts from 0.",
    "exercise-8.backwards": "{got} is counted back from the end. t counts from the start of the sequence.",
    "exercise-8.overlooks": "There is a NaN, and the answer was None. Look at grad_h at every step and sample.",
    "exercise-8.invents": "One of the losses gives no NaN at all; the answer must then be None, not {got}.",
    "exercise-8.other": "t = {got} is not where it was born. See rec.first_nonfinite.",
}
