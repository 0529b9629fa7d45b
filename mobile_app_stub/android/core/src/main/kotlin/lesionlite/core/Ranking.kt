package lesionlite.core

private const val SHOWN = 3

data class Ranked(val label: String, val probability: Float)

/**
 * What the app shows of an answer.
 *
 * @property top the most probable classes; ties are in the order of the labels
 * @property unsure whether the first is below the contract's threshold
 * @property rejected whether the image is of another kind than the network has learned
 */
data class Ranking(val top: List<Ranked>, val unsure: Boolean, val rejected: Boolean)

/** [probabilities] are in the order of the contract's labels; [pixels] are the model's input. */
fun rank(probabilities: FloatArray, contract: Contract, pixels: ByteArray): Ranking {
    val classes = contract.labels.mapIndexed { i, label -> Ranked(label, probabilities[i]) }
    val top = classes.sortedByDescending { it.probability }.take(SHOWN) // the sort is stable
    val unsure = top.first().probability < contract.unsureBelow
    val rejected = contract.rejection?.rejects(pixels, contract.side, probabilities) ?: false
    return Ranking(top, unsure, rejected)
}
