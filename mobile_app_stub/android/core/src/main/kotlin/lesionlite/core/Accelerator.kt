package lesionlite.core

/** Where a model may run, in the order in which an app tries them. */
enum class Accelerator { NPU, GPU, CPU }

/** A model that is open on one accelerator. Only one thread may use it at a time. */
interface Runner : AutoCloseable {
    /** Probabilities of [pixels] from the preprocessor, in the order of the labels. */
    fun classify(pixels: ByteArray): FloatArray
}

/** Remembers, over crashes of the app, which accelerator was being tried. */
interface Log {
    /** Whether an attempt at [accelerator] began and never ended. */
    fun crashed(accelerator: Accelerator): Boolean

    fun begin(accelerator: Accelerator)

    fun end(accelerator: Accelerator)
}

/** An accelerator that the app does not use, and why. */
data class Dropped(val accelerator: Accelerator, val reason: String)

/**
 * The accelerator that the model runs on.
 *
 * @property verdict of the self-test there
 * @property dropped the accelerators that were tried before
 */
class Selection(
    val accelerator: Accelerator,
    val runner: Runner,
    val verdict: Verdict,
    val dropped: List<Dropped>
)
