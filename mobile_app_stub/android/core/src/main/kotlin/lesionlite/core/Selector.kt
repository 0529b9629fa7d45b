package lesionlite.core

/**
 * Opens the model on the first accelerator that answers the golden images rightly.
 *
 * An accelerator may refuse a model, crash with it, or compute something else. So the self-test
 * decides. The last accelerator of the order is kept even if it fails the test, with its verdict.
 *
 * @param golden expected answers
 * @param images the golden images from the preprocessor
 * @param log of the attempts
 * @param open opens the model on an accelerator and nowhere else; it may throw anything, and a
 *   [Problem] if no accelerator can help
 */
class Selector(
    private val golden: Golden,
    private val images: List<ByteArray>,
    private val log: Log,
    private val open: (Accelerator) -> Runner
) {
    /** @throws Problem if the model opens on no accelerator of [order], or the one of `open` */
    fun select(order: List<Accelerator>): Selection {
        val dropped = mutableListOf<Dropped>()
        for (accelerator in order) {
            val last = accelerator == order.last()
            if (log.crashed(accelerator) && !last) {
                dropped += Dropped(accelerator, "it crashed the app")
                continue
            }
            log.begin(accelerator)
            val tried = try {
                attempt(accelerator, last)
            } finally {
                log.end(accelerator)
            }
            if (tried.runner != null) {
                return Selection(accelerator, tried.runner, tried.verdict, dropped)
            }
            dropped += Dropped(accelerator, tried.complaint)
        }
        throw Problem(dropped.joinToString("; ") { "${it.accelerator}: ${it.reason}" })
    }

    /** [runner] is null if there is a [complaint]. */
    private class Attempt(val runner: Runner?, val verdict: Verdict, val complaint: String = "")

    private fun attempt(accelerator: Accelerator, last: Boolean): Attempt {
        val none = Verdict(passed = false, Double.NaN)
        var runner: Runner? = null
        val complaint = try {
            runner = open(accelerator)
            val answers = images.map(runner::classify)
            val complaint = golden.complaint(answers)
            if (complaint == null || last) return Attempt(runner, golden.judge(answers))
            complaint
        } catch (problem: Problem) {
            throw problem
        } catch (error: Throwable) { // also a missing library, or too little memory
            "it cannot run the model (${error.message ?: error.javaClass.simpleName})"
        }
        runCatching { runner?.close() } // whatever happens, the next one is tried
        return Attempt(null, none, complaint)
    }
}
