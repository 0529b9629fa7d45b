package lesionlite.classifier

import android.graphics.Bitmap
import kotlin.time.Duration
import lesionlite.core.Ranking

/**
 * What the model says of a photo. Only this library makes answers, so that later versions can add
 * to them.
 *
 * @property ranking the most probable classes, and whether to believe them
 * @property seen the model's input
 * @property whole time for everything
 * @property inModel the part of it that the model took
 */
public class Answer internal constructor(
    public val ranking: Ranking,
    public val seen: Bitmap,
    public val whole: Duration,
    public val inModel: Duration
)
