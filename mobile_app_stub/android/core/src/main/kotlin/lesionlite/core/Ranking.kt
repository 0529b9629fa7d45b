package lesionlite.core

private const val SHOWN = 3

data class Ranked(val label: String, val probability: Float)

/**
 * What the app shows of an answer.
 *
 * @property top the most probable classes; ties are in the order of the labels
 * @property unsure whether the first is below the contract's threshold
 */
data class Ranking(val top: List<Ranked>, val unsure: Boolean)

/** [probabilities] are in the order of the contract's labels. */
fun rank(probabilities: FloatArray, contract: Contract): Ranking {
    val classes = contract.labels.mapIndexed { i, label -> Ranked(label, probabilities[i]) }
    val top = classes.sortedByDescending { it.probability }.take(SHOWN) // the sort is stable
    return Ranking(top, unsure = top.first().probability < contract.unsureBelow)
}
