"""Expressions that a template must refuse, one a line."""

from __future__ import annotations

CODE = """
get_ipython().system('touch hacked')
get_ipython
sh.system('touch hacked')
sh.user_ns
sh
In
In[1]
_ih[1]
_i1
__builtins__
__builtins__.open
open('secret').read()
open
os
os.system('touch hacked')
os.environ
os.path
os['environ']
os|attr('environ')
[os]|map(attribute='environ')|list
[os]|map('attr', 'environ')|list
[os]|groupby('environ')
[os]|sort(attribute='environ')
[os]|selectattr('environ')|list
[os]|sum(attribute='maxsize')
environ
environ['HOME']
environ.HOME
modules.os
modules['os'].environ
modules['os'].system('touch hacked')
space.os
space.run
space.run()
space['run']()
(space.run)()
space.get('os')
space.get('run')()
space.items()[0][1]
run()
run
lambda_()
method()
owner.method
owner.method()
owner.of_class()
owner.run()
owner.run
owner.callback
owner.callback()
owner.module
owner.module.environ
owner._secret
owner['_secret']
owner['method']()
owner|attr('_secret')
owner|attr('method')
[owner]|map(attribute='_secret')|list
[owner]|map(attribute='callback')|list
[owner]|map('attr', '_secret')|list
[run]|map('call')|list
[owner]|map(attribute='method')|map('string')|list
owner.__class__
owner.__init__.__globals__
owner.__dict__
owner.__module__
Owner
Owner()
Owner.method
Owner.run
Owner.run(1)
Owner.hidden
Owner.mro()
Owner.total
Owner.__subclasses__()
Color('#f00')
frame.head()
''.__class__
''['__class__']
''|attr('__class__')
''.__class__.__mro__[1].__subclasses__()
''.format
'{0.__class__}'.format(text)
'{0.__globals__}'.format(run)
'{x.__class__}'.format_map(space)
text.format_map(space)
('%s' % text).format()
text.translate({115: 'x'})
text.maketrans('a', 'b')
'%(os)s' % modules['os'].environ
str.join
str.format('{0.__class__}', text)
dict.fromkeys
int.from_bytes
str.__subclasses__()
list.__class__
range.__class__
().__class__.__bases__
self.__init__
self._TemplateReference__context
loop.index
cycler.__init__.__globals__.os
lipsum.__globals__.os.popen('id')
joiner.__init__
namespace.__init__
config
request
jinja2.Template
jinja2.utils.open_if_exists('secret')
df.to_csv('hacked')
df.to_csv(path_or_buf='hacked')
df.to_csv(**{'path_or_buf': 'hacked'})
df.to_csv(*['hacked'])
df.to_json('hacked')
df.to_string('hacked')
df.to_markdown('hacked')
df.to_markdown(buf='hacked')
df.to_html('hacked')
df.to_latex('hacked')
df.to_pickle('hacked')
df.to_parquet('hacked')
df.to_excel('hacked')
df.to_sql('t', 'sqlite://')
df.to_feather('hacked')
df.to_hdf('hacked', 'k')
df.to_clipboard()
df.to_xml('hacked')
df['a'].to_csv('hacked')
df.a.to_csv('hacked')
df.a.to_csv
df.query('a > 1')
df.query("@run()")
df.eval('@run()')
df.eval("c = 1", inplace=true)
df.pipe(run)
df.apply(run)
df.apply
df.apply(len)
df.map(run)
df.agg('to_csv')
df.agg(['sum'])
df.transform(run)
df.a.map(run)
df.a.apply('to_csv')
df.groupby('a').agg(run)
df.groupby('a').apply(run)
df.assign(c=run)
df.loc[run]
df.loc[lambda_]
df[run]
df.rename(columns=run)
df.rename(run)
df.sort_values('a', key=run)
df.sort_values('a', inplace=true)
df.dropna(inplace=true)
df.drop('a', inplace=true)
df.drop(columns='a', inplace=true)
df.fillna(0, inplace=true)
df.reset_index(inplace=true)
df.insert(0, 'c', 1)
df.pop('a')
df.update(df)
df.plot
df.plot()
df.style
df.style.to_html('hacked')
df.__class__
df._mgr
df.to_dict(into=Owner)
df.to_dict('records', Owner)
df.to_numpy('U100000000')
df.astype('U100000000')
df.sample(1000000000, replace=true)
df.describe(percentiles=run)
df.attrs.update({})
df.a.str.repeat(1000000000)
df.b.str.cat()
df.index.map(run)
df.columns.to_frame
pd.read_csv('secret')
pd
pd.io
np.pi
np.load('secret')
late
late.environ
late.os.environ
late|attr('part')
array.tofile('hacked')
array.dump('hacked')
array.sort()
array.fill(1)
array.resize(1)
array.setflags(write=false)
array.sum(out=array)
array.mean(0, 'f8', array)
array.astype('U100000000')
array.ctypes
array.data
array.base
array.flat
array.repeat(1000000000)
array.choose([])
array.tobytes()
words.astype('U100000000')
pl.read_csv('secret')
frame_pl.write_csv('hacked')
frame_pl.write_csv(file='hacked')
frame_pl.write_parquet('hacked')
frame_pl.write_json('hacked')
frame_pl.sql('select 1')
frame_pl.map_rows(run)
frame_pl.pipe(run)
frame_pl.with_columns(c=1)
frame_pl.lazy().collect()
frame_pl.style
frame_pl.plot
frame_pl.serialize('hacked')
frame_pl.clear(1000000000)
frame_pl.select(run)
lazy.collect()
lazy.fetch(1)
lazy.schema
counter
counter|first
counter|list
list(counter)
generator
generator|list
list(generator)
endless|list
list(endless)
sum(endless)
endless|map('string')|list
endless|join
file
file.read()
file.name
file|list
path.read_text()
path.unlink()
path.open()
path.exists()
path.write_text('x')
path.absolute()
path.cwd()
path.home()
path.parent.iterdir()
process.run
process.run()
made['new']
made.new
made.setdefault('x', 1)
rows.append(1)
rows.pop()
rows.clear()
rows.sort()
rows[0].update({})
rows[0].pop('a')
rows[0].clear()
rows[0].setdefault('c', 1)
texts.__setitem__(0, 'x')
shell_class.instance()
libc
libc.system
libc['system']
libc.PyRun_SimpleString('x')
popen(['id'])
error.__traceback__
error.with_traceback(none)
text is callable
text is filter
text|callable
text|xmlattr
text|safe
text|urlize
texts|map('safe')|list
texts|map('nothing')|list
texts|select('callable')|list
texts|random
len
max
print('x')
eval('1')
exec('1')
getattr(os, 'environ')
type(text)
vars()
globals()
dir(os)
input()
iter(texts)
next(counter)
map(run, texts)
id(text)
hash(text)
isinstance(text, Owner)
sorted(texts, key=run)
sorted(texts, key=len)
max(texts, key=run)
rows|sort(attribute=run)
texts|map(run)|list
dict(a=run)
dict(a=os)
[run]
[run][0]
{'a': run}
{'a': os}['a']
(os,)
run ~ ''
os ~ ''
text ~ run
run == run
os in [1]
text if run else 1
not run
run or 1
[1][run]
text[os]
df[os]
((((((((((((((((((((1))))))))))))))))))))()
text.upper.lower
text()
rows()
1()
'x'()
[*texts]
text[run()]
rows|map(attribute='a.__class__')|list
rows|map(attribute='__class__.__mro__')|list
rows|groupby('__class__')
rows|unique(attribute='__class__')|list
rows|min(attribute='__class__')
rows|join(attribute='__class__')
rows|selectattr('__class__')|list
rows|dictsort
""".strip().splitlines()
"""They reach for code, secrets, files, or change the data."""

WORK = """
range(10**9)
range(10**9)|list
range(10**18)
'a' * 10**9
10**9 * 'a'
'a' * 9999999 * 9999999
[0] * 10**9
(0,) * 10**9
[[0] * 10000] * 10000
[[[0] * 1000] * 1000] * 1000
[numbers] * 1000
b * 10**9
'ab' * 10**8
10**(10**10)
10 ** 100000
2**99999
(2**9999)**9999
2**9999 * 2**9999 * 2**9999
fraction ** 100000
text ** 2
9999999 ** 9999
text.ljust(10**9)
text.rjust(10**9)
text.center(10**9)
text.zfill(10**9)
text|center(10**9)
text|center(width=10**9)
text|indent(10**9)
text|indent(width=10**9, first=true)
('\\n' * 1000)|indent(big)
'\\t'.expandtabs(10**9)
big.replace('', big)
big.replace('x', big)
big|replace('', big)
big|replace('x', big)
big.join(numbers|map('string'))
big.join(['a'] * 100000)
([big] * 100)|join
(['a'] * 100000)|join(big)
numbers|join(big)
numbers|batch(10**9, 0)|list
texts|batch(10**9, 0)|list
texts|slice(10**9)|list
'%1000000000d' % 1
'%*d' % (1000000000, 1)
'%.1000000000f' % 1
'%1000000000d'|format(1)
'%-1000000000s'|format('x')
('%(a)s' * 100000) % {'a': big}
('%(a)s' * 100000)|format(a=big)
('%(n)s' * 100000) % wide
('%(a)s' * 1000000) % df
('%s' * 100000) % ([numbers] * 100000)
round(1, -10**9)
round(1, 10**9)
1.5|round(10**9)
1|round(-10**9, 'floor')
int('9' * 100000)
('9' * 100000)|int
int(big, 10)
sum([texts, texts], [])
[texts, texts]|sum(start=[])
rows|sum(attribute='b', start=[])
big.rfind('x' * 500000 ~ 'y')
big.rsplit('x' * 500000 ~ 'y')
big.strip('xyz' * 100000)
numbers|select('in', numbers)|list
numbers|map('replace', '', big)|list
numbers|map('default', numbers, true)|list|string
(numbers|map(attribute='zz', default=numbers)|list)|string
numbers|map('string')|map('center', 1000)|list
array[:, none] * array
array[:, none] + array
array[:, none] == array
array[[0] * 5000000][[0] * 5000000]
array[:, none][[0] * 1000, :] ** array
words * 10**9
words + big
words % 1
df * 10**9
df.b * 10**9
df.b + big
twins + others
twins * others
wide + long
df.fillna(big)
df.loc[[0] * 1000000, ['a'] * 1000]
twins.loc[[0] * 100000]
wide.T.describe()
day.strftime('%1000000000d')
cell.strftime('%1000000000d')
big.encode('punycode')
big.encode('idna')
text.encode('rot13')
text.encode('zlib')
""".strip().splitlines()
"""They would take very much time or memory."""
