"""The English catalogue. Its keys and fields are those of ``_texts_es.py``; a test holds the two together."""

from __future__ import annotations

TEXTS: dict[str, str] = {
    "lang": "en",
    # axes and legends
    "axis.t": "timestep t",
    "axis.lag": "steps back from the end",
    "axis.relative": "gradient, relative to the last step",
    "axis.relative_c": "‖∂L/∂c$_t$‖, relative to the last step",
    "axis.loss": "training loss",
    "axis.step": "training step",
    "axis.length": "length of the sequence",
    "axis.accuracy": "accuracy on fresh data",
    "axis.bits": "bits per character",
    "setup.rnn": "RNN, default",
    "setup.rnn_orthogonal": "RNN, orthogonal W$_{hh}$",
    "setup.rnn_orthogonal_zero_bias": "RNN, orthogonal, zero biases",
    "setup.residual": "residual RNN",
    "setup.gru": "GRU, default",
    "setup.lstm": "LSTM (∂L/∂c), default",
    "setup.lstm_forget_one": "LSTM (∂L/∂c), forget bias 1",
    "setup.lstm_forget_99": "LSTM (∂L/∂c), forget gate 0.99",
    "network.rnn": "RNN",
    "network.gru": "GRU",
    "network.lstm": "LSTM",
    "network.rnn_orthogonal": "RNN, orthogonal, zero biases",
    "network.gru_chrono": "GRU, chrono biases",
    "network.lstm_chrono": "LSTM, chrono biases",
    "decay.toy.label": "the toy:",
    "decay.measured.label": "a real RNN, one line per seed",
    "explosion.growth.silent": "W$_{hh}$ = 2Q, silent states",
    "explosion.growth.loud": "the same W$_{hh}$, saturated states",
    "explosion.growth.limit": "the detector's threshold, 100",
    "explosion.training.free": "without clipping",
    "explosion.training.clipped": "clipped to norm 1",
    "explosion.training.nan": "NaN from step",
    "dependency.chance": "chance",
    "char.train": "training windows",
    "char.held_out": "held-out text",
    "char.bigram": "table of letter pairs",
    "char.step": "step",
    "char.faint": "a thousandth: the horizon",
    # alternative texts: the figures in words
    "decay.toy.alt": (
        "Two falling lines on a logarithmic axis against steps back. The toy, {factor:n} to the power of k, ends at "
        "{last:n} after {steps} steps. {seeds} measured RNNs fall almost as straight, by {per_step:n} per step, to "
        "{measured_last:n}."
    ),
    "gradient_flow.default.alt": (
        "Gradient at every timestep, logarithmic, relative to step {steps}. All three default networks fall from 1 "
        "at the right to almost nothing at step 1: RNN {rnn_first:n}, GRU {gru_first:n}, LSTM {lstm_first:n}."
    ),
    "gradient_flow.cures.alt": (
        "Gradient at every timestep of four RNNs. At step 1, relative to step {steps}: default {rnn_first:n}, "
        "orthogonal {rnn_orthogonal_first:n}, orthogonal with zero biases {rnn_orthogonal_zero_bias_first:n}, "
        "residual {residual_first:n}, which grows."
    ),
    "gradient_flow.gates.alt": (
        "Gradient at every timestep of gated networks. At step 1, relative to step {steps}: GRU {gru_first:n}, LSTM "
        "cell {lstm_first:n}, with forget bias 1 {lstm_forget_one_first:n}, with forget gate 0.99 "
        "{lstm_forget_99_first:n}."
    ),
    "gradient_flow.bars.alt": (
        "Six bars, one every ten timesteps, each ten times taller than the one before it: the largest stands at the "
        "last timestep, {steps}, on the right."
    ),
    "explosion.growth.alt": (
        "Gradient at every timestep, logarithmic. With silent states it grows backwards from 1 to {linear_first:n} "
        "at step 1 and passes 100 at step {finding_t}. With saturated states the same matrix lets it fall to "
        "{saturated_first:n}."
    ),
    "explosion.training.alt": (
        "Training loss by step, logarithmic. Without clipping the loss turns NaN at step {broken_at:n}. Clipped, it "
        "falls from {relu_start:n} to {relu_end:n} over 300 steps."
    ),
    "long_dependency.accuracy.alt": (
        "Accuracy against sequence length, a dot per seed, for RNN, GRU and LSTM. Success rates over {seeds} seeds: "
        "{table_plain}."
    ),
    "long_dependency.cures.alt": (
        "Accuracy against sequence length for the same networks with a better start, a dot per seed. Success rates "
        "over {seeds} seeds: {table_cured}."
    ),
    "char_model.learning.alt": (
        "Bits per character by training step. On held-out text they fall from {bits_first:n} to {bits:n}; the table "
        "of letter pairs stands at {bigram:n}."
    ),
    "char_model.horizon.alt": (
        "Gradient of the cell state at every timestep in the median window, one line per stage of training. "
        "Untrained it stays above a thousandth for {horizon_first} steps back; after {steps} training steps for "
        "{horizon_last}."
    ),
    # captions
    "decay.toy.caption": (
        "The lesson's simulation beside {seeds} real RNNs (H=128, torch's default initialisation, signal at t=1, "
        "loss on the last state). x counts steps back."
    ),
    "gradient_flow.default.caption": (
        "H={hidden} (LSTM: half), T={steps}, 32 samples, median of {seeds} seeds, before any training. Read it from "
        "right to left: that is the way backprop goes."
    ),
    "gradient_flow.cures.caption": "The same measurement for three other starts of an RNN.",
    "gradient_flow.gates.caption": "Gated networks: what counts is how open the forget gate stands.",
    "gradient_flow.bars.caption": (
        "W_hh = 0.794 Q, zero biases: one tenth every ten steps, measured, in the right order."
    ),
    "explosion.growth.caption": "H=32, 51 timesteps, float64. The ring is where the detector fires.",
    "explosion.training.caption": (
        "A relu RNN, W_hh = 1.2 times the identity, T=50, plain SGD at 0.01, {seeds} seed(s) each. Same data, same "
        "seeds; the only difference is one line of code."
    ),
    "long_dependency.accuracy.caption": (
        "H={hidden}, Adam at {rate:n}, clipped to norm {clip:n}, {steps} training steps of 32 fresh samples, tested "
        "on 1000 more; built anew for each of {seeds} seeds. Above each group: seeds that reach 90 %."
    ),
    "long_dependency.cures.caption": "The same task, data and budget. Only the initial weights and biases differ.",
    "char_model.learning.caption": (
        "LSTM, H={hidden}, windows of {length} characters, Adam at {rate:n}. Text: {origin}, {characters} "
        "characters, the last tenth held out. One seed."
    ),
    "char_model.horizon.caption": (
        "The probe's loss reads the last character alone; the curve is the median of 64 held-out windows. With a "
        "loss at every step each timestep would be fed directly, and how far the gradient travels could not be seen."
    ),
    # the report
    "report.title": "The long-sequence problem, measured",
    "report.lead": (
        "An RNN learns by sending a gradient back through time. This lesson follows it there, timestep by timestep, "
        "in networks built, trained and measured while this page was made."
    ),
    "report.verdicts": "What came of the claims",
    "report.line": "lesson, line {line}",
    "report.beyond": "beyond the lesson",
    "report.expected": "expected",
    "report.measured": "measured",
    "report.contents": "Contents",
    "report.code": "In your own code",
    "report.quick": "Made with --quick: fewer seeds and shorter training, so the numbers are rougher.",
    "report.lesson_says": "The lesson:",
    "report.we_find": "Corrected:",
    "verdict.reproduced": "reproduced",
    "verdict.corrected": "corrected",
    "verdict.not reproduced": "not reproduced",
    "section.gradient.title": "1. What travels back",
    "section.gradient.text": (
        "The loss at the end says how the last state h_T should change. How an earlier state should change follows "
        "by the chain rule: multiply by one matrix, the Jacobian ∂h_k/∂h_(k−1), for every step back. For a tanh RNN "
        "that matrix is diag(1−h_k²)·W_hh. Ninety-nine steps back are ninety-nine factors, and whatever they do on "
        "average, they do to the power of ninety-nine.\n"
        "PyTorch does not show these gradients: `retain_grad()` on a layer's output gives only the direct part, "
        "exactly zero before the last step. seqgrad's kernels hand out the total at every step."
    ),
    "section.vanishing.title": "2. The gradient vanishes",
    "section.vanishing.text": (
        "The lesson's toy halves a number again and again. A real RNN with PyTorch's default weights does much the "
        "same: it keeps {per_step:n} per step, close to the 1/√3 = 0.577 that theory gives for this initialisation. "
        "The toy's factor is a slope; the network's is a matrix, and it vanishes although its largest singular value "
        "is {sigma_max:n}.\n"
        "Look at all three default networks below. GRU and LSTM are no exception yet; section 7 returns to that. And "
        "mind your own tools: the square of 0.5^100 in float32 is {fp32_square:n}, so a norm computed carelessly "
        "would report a plain zero."
    ),
    "section.exploding.title": "3. The gradient explodes",
    "section.exploding.text": (
        "Turn the factor above 1 and the same law runs the other way. With W_hh = 2Q, Q orthogonal, and states at "
        "rest it is exact: fifty steps back multiply by 2^50.\n"
        "In a tanh network the states themselves push back. Once they saturate, tanh is flat and its slope stops the "
        "gradient. So look at the spectrum and the states together, not at the size of the entries.\n"
        "What the detector said about this network: “{finding}”"
    ),
    "section.cures.title": "4. What helps",
    "section.cures.text": (
        "Clipping scales a gradient that is too long back to a fixed length. Below, a relu network with a recurrent "
        "gain of 1.2. Without clipping one step throws the weights so far off that the next forward pass overflows: "
        "“{nan_finding}”\n"
        "With clipping the same network trains on: its loss falls from {relu_start:n} to {relu_end:n} and it gets "
        "{relu_accuracy:.0%} of fresh samples right. In a tanh network nothing overflows, but the first leap into "
        "saturation costs as much: {tanh_free:.0%} without clipping, {tanh_clipped:.0%} with it.\n"
        "Clipping by norm keeps the direction, clipping by value bends it, and neither brings back a gradient that "
        "has vanished or turned NaN. For vanishing, look at the start: an orthogonal W_hh, zero biases, a residual "
        "path."
    ),
    "section.dependency.title": "5. Can it remember the first element?",
    "section.dependency.text": (
        "“The cat, which sat on the mat, was happy”: to choose between was and were, a reader has to remember the "
        "subject's number. The lesson distils this into a task: a signal at t=1, then silence, and at the end a "
        "question about the signal. Each network below was trained on it from scratch.\n"
        "All training here is clipped, so what fails, fails by vanishing. And the architecture alone does not "
        "decide: at length 100 default GRUs and LSTMs fail as plain RNNs do, while a good start lets all three "
        "succeed, even the plain one."
    ),
    "section.picture.title": "6. The picture, the right way round",
    "section.picture.text": (
        "The lesson draws bars that shrink from step 1 to step 50. Measured with the one matrix that leaves exactly "
        "a tenth after every ten steps, they stand in the opposite order: the last step hears the loss loudest.\n"
        "Information has the same trouble on its way forward. Thirty-two different signals at t=1 leave final states "
        "that differ by {rnn_spread:n} in a default RNN, and by {rnn_orthogonal_zero_bias_spread:n} in an orthogonal "
        "one. That is about states, not gradients, but it is the same product of matrices."
    ),
    "section.gates.title": "7. LSTM and GRU",
    "section.gates.text": (
        "The LSTM's cell state has a path of its own: c_t = f_t·c_(t−1) + i_t·g_t. One step back multiplies its "
        "gradient by the forget gate and by no matrix (apart from what flows through the gates). So the gate "
        "decides. At f = 0.5, its default, 99 steps leave {lstm_first:n}; a forget bias of 1 leaves "
        "{lstm_forget_one_first:n}; f = 0.99 leaves {lstm_forget_99_first:n}. Gates are a road that has to be "
        "opened: by a bias, or by training."
    ),
    "section.text.title": "8. A real text",
    "section.text.text": (
        "Does training open the road? An LSTM learns to spell CPython's documentation, character by character. After "
        "{steps} steps it needs {bits:n} bits per character on text it never saw; a table of letter pairs needs "
        "{bigram:n}.\n"
        "Meanwhile its gradient horizon, the distance over which the gradient stays above a thousandth, moves from "
        "{horizon_first} steps to {horizon_last} in the median window of {length} characters; in {far:.0%} of the "
        "windows it spans them all (untrained: {far_first:.0%}). The network learns what to keep, and with it how "
        "far back it can learn."
    ),
    "section.text.quote": "What it writes at the end:",
    "section.checklist.title": "What you can now say",
    "section.checklist.text": "The lesson's five points, each ticked when all its claims hold.",
    "item.1": "Why gradients vanish",
    "item.2": "What makes them explode",
    "item.3": "What helps: clipping, initialisation, residual paths",
    "item.4": "Why plain RNNs fail on long dependencies",
    "item.5": "What LSTM and GRU are for, and when it works",
    "section.method.title": "How this page was made",
    "section.method.text": (
        "All numbers come from one run of `seqgrad lesson`, with fixed seeds counted from 0, in float32 unless said, "
        "on one thread per network. Every dL/dh_t left the backward kernel itself. The tables behind the figures are "
        "in {results}."
    ),
    "report.environment": "{torch}, Python {python}, seqgrad {version}; {seconds:.0f} s of work",
    # the terminal
    "cli.summary": "{reproduced} reproduced, {corrected} corrected, {missed} not reproduced",
    "cli.report": "Report: {path}",
    "cli.took": "{seconds:.0f} s",
    "name.decay": "the toy decay beside real RNNs",
    "name.gradient_flow": "the gradient at every timestep",
    "name.explosion": "exploding gradients and clipping",
    "name.long_dependency": "remember the first element",
    "name.char_model": "a character model on a real text",
}
