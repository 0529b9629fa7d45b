package lesionlite.core

import kotlin.math.exp
import org.json.JSONArray
import org.json.JSONException
import org.json.JSONObject

private const val VERSION = 1
private const val MIN_SIDE = 32

enum class Resize { SQUASH, SHORTEST }

enum class Interpolation { NEAREST, BILINEAR, BICUBIC, AREA }

/**
 * The model's input and the names of its answers. The app has no other knowledge of the model.
 *
 * @property labels class names, in the order of the probabilities
 * @property side S: the model takes S x S pixels
 * @property resize the whole image to S x S, or its shorter side to [resizeSide] and the S x S
 *   centre of that
 * @property prior share of each class in what training saw; empty if that is not known
 * @property logitAdjustment what the model adds to each class, to answer for classes as frequent as
 *   where it is used; empty if it adds nothing
 * @property unsureBelow if the largest probability is below it, the app says "not sure"
 * @property rejection tells images of another kind; null if nothing does
 * @property note a sentence to show with every result
 * @property disclaimer a sentence that the app always shows
 */
data class Contract(
    val labels: List<String>,
    val side: Int,
    val resize: Resize,
    val resizeSide: Int,
    val interpolation: Interpolation,
    val prior: List<Double>,
    val logitAdjustment: List<Double>,
    val unsureBelow: Double,
    val rejection: Rejection?,
    val note: String,
    val disclaimer: String
) {
    /** For images that already have the input's size. */
    fun withoutResizing(): Contract = copy(resize = Resize.SQUASH, resizeSide = side)

    /** Share of each class that the answers reckon with; empty if that is not known. */
    fun expectedShares(): List<Double> {
        if (logitAdjustment.isEmpty()) return prior
        val weights = prior.zip(logitAdjustment) { share, shift -> share * exp(shift) }
        return weights.map { it / weights.sum() }
    }

    companion object {
        /**
         * Read contract.json.
         *
         * @throws Problem naming the field that this app cannot honour
         */
        fun parse(text: String): Contract = try {
            ContractReader(JSONObject(text)).read()
        } catch (error: JSONException) {
            throw Problem("contract.json is no JSON object; embed the model again.", error)
        }
    }
}

private class ContractReader(private val json: JSONObject) {
    fun read(): Contract {
        val version = json.opt("version")
        demand(version == VERSION) { "has version $version, this app reads version $VERSION" }
        val side = whole("side")
        demand(side >= MIN_SIDE) {
            "has side ${json.opt("side")}, which must be a whole number from $MIN_SIDE"
        }
        val resizeSide = whole("resize_side")
        demand(resizeSide >= side) {
            "has resize_side ${json.opt("resize_side")}, which must not be less than side"
        }
        val labels = labels()
        return Contract(
            labels = labels,
            side = side,
            resize = choice("resize", Resize.entries),
            resizeSide = resizeSide,
            interpolation = interpolation(),
            prior = numbers("prior", labels.size),
            logitAdjustment = numbers("logit_adjustment", labels.size),
            unsureBelow = unsureBelow(),
            rejection = rejection(labels.size + STATISTICS),
            note = json.opt("note") as? String ?: "",
            disclaimer = json.opt("disclaimer") as? String ?: ""
        )
    }

    private fun labels(): List<String> {
        val labels = (json.opt("labels") as? JSONArray)?.items { it as? String }.orEmpty()
        demand(labels.size >= 2 && labels.none { it.isNullOrEmpty() }) {
            "needs at least two labels, none of them empty"
        }
        demand(labels.toSet().size == labels.size) { "has labels that are not unique" }
        return labels.filterNotNull()
    }

    private fun interpolation(): Interpolation {
        val found = choice("interpolation", Interpolation.entries)
        val widens = found == Interpolation.BILINEAR || found == Interpolation.BICUBIC
        demand(!widens || json.opt("antialias") == true) {
            "resizes without antialias, which this app does not do"
        }
        return found
    }

    /** One for each of the [labels], or none. */
    private fun numbers(name: String, labels: Int): List<Double> {
        if (json.isNull(name)) return emptyList() // contracts from before the field
        val found = (json.opt(name) as? JSONArray)?.items { (it as? Number)?.toDouble() }
        val numbers = found?.filterNotNull()
        demand(numbers != null && numbers.size == found.size && numbers.size in setOf(0, labels)) {
            "has $name that does not hold a number for each label"
        }
        return numbers.orEmpty()
    }

    private fun unsureBelow(): Double {
        val found = (json.opt("unsure_below") as? Number)?.toDouble() ?: Double.NaN
        demand(found >= 0 && found < 1) {
            "has unsure_below ${json.opt("unsure_below")}, " +
                "which must be from 0 up to, not including, 1"
        }
        return found
    }

    /** Of images with so many numbers. */
    private fun rejection(size: Int): Rejection? {
        if (json.isNull("rejection")) return null
        val fields = json.opt("rejection") as? JSONObject ?: JSONObject()
        val found =
            Rejection(
                leastProbability = fields.optDouble("least_probability"),
                whitening = fields.rows("whitening"),
                centres = fields.rows("centres"),
                rejectAbove = fields.optDouble("reject_above")
            )
        val inside = found.leastProbability > 0 && found.leastProbability < 1
        val rows = found.whitening + found.centres
        demand(
            inside && found.rejectAbove > 0 && rows.all { it.size == size } &&
                found.whitening.size == size && found.centres.isNotEmpty()
        ) { "has a rejection that this app cannot compute" }
        return found
    }

    /** An integer; 0 if it is missing, because no field may be 0. */
    private fun whole(name: String): Int = json.opt(name) as? Int ?: 0

    private fun <T : Enum<T>> choice(name: String, entries: List<T>): T {
        val value = json.opt(name)
        return entries.find { it.name.lowercase() == value }
            ?: refuse("has $name $value, which must be one of ${entries.names()}")
    }

    private fun demand(honoured: Boolean, otherwise: () -> String) {
        if (!honoured) refuse(otherwise())
    }

    private fun refuse(what: String): Nothing =
        throw Problem("contract.json $what; embed the model again.")
}

private fun List<Enum<*>>.names() = joinToString { it.name.lowercase() }

/** A matrix; a row that is none, or a number that is none, leaves its row empty. */
private fun JSONObject.rows(name: String): List<List<Double>> = optJSONArray(name)?.items { row ->
    val numbers = (row as? JSONArray)?.items { (it as? Number)?.toDouble() }.orEmpty()
    if (null in numbers) emptyList() else numbers.filterNotNull()
}.orEmpty()

internal fun <T> JSONArray.items(read: (Any) -> T): List<T> = List(length()) { read(get(it)) }
