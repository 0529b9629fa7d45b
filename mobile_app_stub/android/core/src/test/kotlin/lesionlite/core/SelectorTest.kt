package lesionlite.core

import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertNull
import kotlin.test.assertTrue

private val CONTRACT = Contract.parse(
    """{"labels": ["a", "b"], "side": 64, "resize": "squash", "resize_side": 64,
    "interpolation": "bilinear", "antialias": true, "mean": [0, 0, 0], "std": [1, 1, 1],
    "temperature": 1, "unsure_below": 0, "note": "", "version": 1}"""
)
private val GOLDEN = Golden.parse(
    """{"how_to": "", "labels": ["a", "b"], "images": ["0.png", "1.png"], "artifacts": {"m": {
    "sha256": "", "tolerance": 0.02, "runtime": "", "probabilities": [[0.9, 0.1], [0.2, 0.8]]}}}""",
    CONTRACT
)
private val IMAGES = listOf(byteArrayOf(0), byteArrayOf(1))
private val RIGHT = listOf(floatArrayOf(0.9f, 0.1f), floatArrayOf(0.2f, 0.8f))

/** Answers the golden images with [answers]. */
private class Fake(private val answers: List<FloatArray>) : Runner {
    var closed = false

    override fun classify(pixels: ByteArray) = answers[pixels[0].toInt()]

    override fun close() {
        closed = true
        if (answers === BROKEN) error("it cannot be closed")
    }
}

private val BROKEN = listOf(floatArrayOf(Float.NaN, 0.1f), RIGHT[1])

private class Attempts : Log {
    val unfinished = mutableSetOf<Accelerator>()

    override fun crashed(accelerator: Accelerator) = accelerator in unfinished

    override fun begin(accelerator: Accelerator) {
        unfinished += accelerator
    }

    override fun end(accelerator: Accelerator) {
        unfinished -= accelerator
    }
}

class SelectorTest {
    private val opened = mutableMapOf<Accelerator, Fake>()
    private val attempts = Attempts()

    private fun select(
        order: List<Accelerator> = Accelerator.entries,
        answers: (Accelerator) -> List<FloatArray>
    ) = Selector(GOLDEN, IMAGES, attempts) { Fake(answers(it)).also { fake -> opened[it] = fake } }
        .select(order)

    @Test
    fun `the first accelerator that answers rightly is taken`() {
        val found = select { RIGHT }
        assertEquals(Accelerator.NPU, found.accelerator)
        assertTrue(found.verdict.passed && found.dropped.isEmpty())
        assertEquals(setOf(Accelerator.NPU), opened.keys)
        assertFalse(opened.getValue(Accelerator.NPU).closed)
    }

    @Test
    fun `one answer for every image drops an accelerator`() {
        val found = select { if (it == Accelerator.NPU) listOf(RIGHT[0], RIGHT[0]) else RIGHT }
        assertEquals(Accelerator.GPU, found.accelerator)
        assertEquals(Accelerator.NPU, found.dropped.single().accelerator)
        assertContains(found.dropped.single().reason, "a probability differs by 0.700")
        assertTrue(opened.getValue(Accelerator.NPU).closed)
    }

    @Test
    fun `numbers that are not finite drop an accelerator, even if it cannot be closed`() {
        val found = select { if (it == Accelerator.NPU) BROKEN else RIGHT }
        assertContains(found.dropped.single().reason, "not finite")
        assertTrue(opened.getValue(Accelerator.NPU).closed)
    }

    @Test
    fun `an accelerator that crashed the app is not tried again`() {
        attempts.begin(Accelerator.NPU)
        val found = select { RIGHT }
        assertEquals(Accelerator.GPU, found.accelerator)
        assertEquals(listOf(Dropped(Accelerator.NPU, "it crashed the app")), found.dropped)
        assertEquals(setOf(Accelerator.NPU), attempts.unfinished)
        val chosen = select(listOf(Accelerator.NPU)) { RIGHT }
        assertEquals(Accelerator.NPU, chosen.accelerator)
        assertTrue(attempts.unfinished.isEmpty())
    }

    @Test
    fun `another number of answers drops an accelerator`() {
        val short = listOf(floatArrayOf(1f), floatArrayOf(1f))
        val found = select { if (it == Accelerator.NPU) short else RIGHT }
        assertContains(found.dropped.single().reason, "it gives 1 numbers, not 2")
    }

    @Test
    fun `an accelerator that throws is dropped`() {
        val errors = listOf("no NPU").flatMap {
            listOf(IllegalStateException(it), UnsatisfiedLinkError(it), OutOfMemoryError(it))
        }
        for (error in errors) {
            val found = select { if (it == Accelerator.CPU) RIGHT else throw error }
            assertEquals(Accelerator.CPU, found.accelerator)
            assertEquals(2, found.dropped.size)
            assertContains(found.dropped.first().reason, "it cannot run the model (no NPU)")
        }
    }

    @Test
    fun `the last one stays with its verdict`() {
        val found = select { listOf(RIGHT[1], RIGHT[1]) }
        assertEquals(Accelerator.CPU, found.accelerator)
        assertFalse(found.verdict.passed || opened.getValue(Accelerator.CPU).closed)
    }

    @Test
    fun `a model that opens nowhere is a problem with all reasons`() {
        val order = listOf(Accelerator.GPU, Accelerator.CPU)
        val problem = assertFailsWith<Problem> { select(order) { error("broken") } }
        assertContains(problem.message, "GPU: it cannot run the model (broken); CPU: ")
    }

    @Test
    fun `a problem of every accelerator ends the attempts`() {
        val problem = assertFailsWith<Problem> { select { throw Problem("no library") } }
        assertEquals("no library", problem.message)
        assertTrue(opened.isEmpty() && attempts.unfinished.isEmpty())
    }

    @Test
    fun `right answers are no complaint`() = assertNull(GOLDEN.complaint(RIGHT))
}
